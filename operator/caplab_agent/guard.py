"""What may be hit: checked again on the node, whatever the API server let through. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from .drop_rules import Address, DropAddresses, address
from .faults import Assignment, Body, Partition

CHAOS_LABEL, ALLOWED = "caplab.dev/chaos", "allowed"
CLUSTER_LABEL, PART_LABEL = "caplab.dev/cluster", "caplab.dev/part"
_NO_TARGET = "exporter"  # a part of a cluster that is neither a member nor a Sentinel
_HINT = "Hint: make the fault anew, so that its target is resolved anew."
PROTECTED_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})


def refusal(assignment: Assignment, namespace: Body | None, pod: Body | None, node: str, own_namespace: str) -> str:
    """Why an assignment is not carried out, with the hint; '' if it may be. None: there is no such object."""
    return (
        _namespace_refused(assignment, namespace, own_namespace)
        or _pod_refused(assignment, pod, node)
        or _addresses_refused(assignment, pod)
    )


class AddressRefused(Exception):
    """An address that no packet may be dropped for; the message names the field and the hint."""


def own_addresses(pod: Body | None) -> tuple[str, ...]:
    """The addresses of a pod and of its node, as far as its status names them yet."""
    return tuple(sorted({text for field in ("podIP", "hostIP") for text in _listed(pod, field)}))


def has_host_ip(pod: Body | None) -> bool:
    """Whether a pod's status names its node's address: until then nobody can say that it is not cut off."""
    return any(_listed(pod, "hostIP"))


def permitted(partition: Partition, protected_addresses: tuple[str, ...]) -> DropAddresses:
    """The addresses of a partition as values; protected_addresses: those of the pod and its node. Raises Refused."""
    protected = {address(each) for each in protected_addresses}
    return DropAddresses(
        tuple(_permitted("dropsFrom", each, protected) for each in partition.drops_from),
        tuple(_permitted("dropsTo", each, protected) for each in partition.drops_to),
    )


def _permitted(field: str, text: str, protected: set[Address]) -> Address:
    hint = "Hint: it is the operator's to write, and must name other pods and Services only."
    try:
        parsed = address(text)
    except ValueError:
        raise AddressRefused(f"status.targets[].{field} names {text!r}, which is no IP address. {hint}") from None
    if parsed in protected:
        raise AddressRefused(
            f"status.targets[].{field} names {text}, an address of the pod itself or of its node. {hint}"
        )
    if parsed.is_loopback or parsed.is_unspecified or parsed.is_multicast:
        raise AddressRefused(f"status.targets[].{field} names {text}, which is no address of another. {hint}")
    return parsed


def _addresses_refused(assignment: Assignment, pod: Body | None) -> str:
    if not isinstance(assignment.action, Partition):
        return ""
    if not assignment.replaces and not has_host_ip(pod):
        return (
            f"the status of pod {assignment.pod} names no hostIP, so that it may be cut off from its own node. {_HINT}"
        )
    try:
        permitted(assignment.action, own_addresses(pod))
    except AddressRefused as refused:
        return str(refused)
    return ""


def _listed(pod: Body | None, field: str) -> Iterator[str]:
    status = (pod or {}).get("status") or {}
    several = (each.get("ip") for each in status.get(f"{field}s") or ())
    yield from (str(each) for each in (status.get(field), *several) if each)


def _namespace_refused(assignment: Assignment, namespace: Body | None, own_namespace: str) -> str:
    name = assignment.namespace
    if name in PROTECTED_NAMESPACES or name == own_namespace:
        return (
            f"namespace {name} is protected: no fault happens there. Hint: make the cluster in a namespace of its own."
        )
    if _labels(namespace).get(CHAOS_LABEL) != ALLOWED:
        return (
            f"namespace {name} does not carry the label {CHAOS_LABEL}={ALLOWED}. "
            f"Hint: kubectl label namespace {name} {CHAOS_LABEL}={ALLOWED}, if faults may happen there."
        )
    return ""


def _pod_refused(assignment: Assignment, pod: Body | None, node: str) -> str:
    if pod is None:
        return f"pod {assignment.pod} is gone. {_HINT}"
    uid = pod["metadata"].get("uid")
    if uid != assignment.pod_uid:
        return f"pod {assignment.pod} has uid {uid}, and the target has {assignment.pod_uid}: it was replaced. {_HINT}"
    host = (pod.get("spec") or {}).get("nodeName")
    if host != node:
        return f"pod {assignment.pod} is on node {host}, not on {node}. {_HINT}"
    return _cluster_refused(assignment, _labels(pod))


def _cluster_refused(assignment: Assignment, labels: Body) -> str:
    cluster = labels.get(CLUSTER_LABEL)
    if not cluster:
        return (
            f"pod {assignment.pod} does not carry the label {CLUSTER_LABEL}: it is no member of a cluster. "
            "Hint: status.targets must name members and Sentinels only."
        )
    if labels.get(PART_LABEL) == _NO_TARGET:
        return (
            f"pod {assignment.pod} carries {PART_LABEL}={_NO_TARGET}: it only tells of members. "
            "Hint: status.targets must name members and Sentinels only."
        )
    if assignment.cluster and cluster != assignment.cluster:
        return (
            f"pod {assignment.pod} carries {CLUSTER_LABEL}={cluster}, and the fault is for {assignment.cluster!r}: "
            "it is no member of that cluster. Hint: status.targets must name members of it only."
        )
    return ""


def _labels(body: Body | None) -> Body:
    labels: Body = ((body or {}).get("metadata") or {}).get("labels") or {}
    return labels
