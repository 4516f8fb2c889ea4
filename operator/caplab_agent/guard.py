"""The guard: which pods a fault may hit, checked on the node whatever the API server let through. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator

from caplab.contract.names import ALLOWED, CHAOS_LABEL, CLUSTER_LABEL, EXPORTER, PART_LABEL

from .drop_rules import Address, DropAddresses, address
from .faults import Assignment, Body, Partition

_HINT = "Hint: create the fault again, so that its target is resolved again."
PROTECTED_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})


def refusal(assignment: Assignment, namespace: Body | None, pod: Body | None, node: str, own_namespace: str) -> str:
    """Say why an assignment must not be carried out, with a hint; '' if it may be.

    namespace and pod: the objects as read; None: it does not exist.
    """
    return (
        _namespace_refused(assignment, namespace, own_namespace)
        or _pod_refused(assignment, pod, node)
        or _addresses_refused(assignment, pod)
    )


class AddressRefused(Exception):
    """An address whose packets must not be dropped; the message names the field, with a hint."""


def own_addresses(pod: Body | None) -> tuple[str, ...]:
    """List the addresses of a pod and of its node, as far as the pod's status names them yet."""
    return tuple(sorted({text for field in ("podIP", "hostIP") for text in _listed(pod, field)}))


def has_host_ip(pod: Body | None) -> bool:
    """Check whether a pod's status names its node's address: only then can a partition spare it."""
    return any(_listed(pod, "hostIP"))


def permitted(partition: Partition, protected_addresses: tuple[str, ...]) -> DropAddresses:
    """Parse the addresses of a partition.

    protected_addresses: those of the pod and of its node. Raises AddressRefused.
    """
    protected = {address(each) for each in protected_addresses}
    return DropAddresses(
        tuple(_permitted("dropsFrom", each, protected) for each in partition.drops_from),
        tuple(_permitted("dropsTo", each, protected) for each in partition.drops_to),
    )


def _permitted(field: str, text: str, protected: set[Address]) -> Address:
    hint = "Hint: leave this field to the operator; it must name only other pods and Services."
    try:
        parsed = address(text)
    except ValueError:
        raise AddressRefused(f"status.targets[].{field} names {text!r}, which is not an IP address. {hint}") from None
    if parsed in protected:
        raise AddressRefused(
            f"status.targets[].{field} names {text}, an address of the pod itself or of its node. {hint}"
        )
    if parsed.is_loopback or parsed.is_unspecified or parsed.is_multicast:
        raise AddressRefused(f"status.targets[].{field} names {text}, which is not an address of another pod. {hint}")
    return parsed


def _addresses_refused(assignment: Assignment, pod: Body | None) -> str:
    if not isinstance(assignment.action, Partition):
        return ""
    if not assignment.replaces and not has_host_ip(pod):
        return (
            f"the status of pod {assignment.pod} has no hostIP, so the pod could be cut off from its own node. {_HINT}"
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
            f"namespace {name} is protected: no fault is allowed in it. "
            "Hint: create the cluster in a namespace of its own."
        )
    if _labels(namespace).get(CHAOS_LABEL) != ALLOWED:
        return (
            f"namespace {name} does not carry the label {CHAOS_LABEL}={ALLOWED}. "
            f"Hint: kubectl label namespace {name} {CHAOS_LABEL}={ALLOWED}, if faults are allowed in it."
        )
    return ""


def _pod_refused(assignment: Assignment, pod: Body | None, node: str) -> str:
    if pod is None:
        return f"pod {assignment.pod} is gone. {_HINT}"
    uid = pod["metadata"].get("uid")
    if uid != assignment.pod_uid:
        return f"pod {assignment.pod} has uid {uid}, but the target has {assignment.pod_uid}: it was replaced. {_HINT}"
    host = (pod.get("spec") or {}).get("nodeName")
    if host != node:
        return f"pod {assignment.pod} is on node {host}, not on {node}. {_HINT}"
    return _cluster_refused(assignment, _labels(pod))


def _cluster_refused(assignment: Assignment, labels: Body) -> str:
    cluster = labels.get(CLUSTER_LABEL)
    if not cluster:
        return (
            f"pod {assignment.pod} does not carry the label {CLUSTER_LABEL}: it does not belong to a cluster. "
            "Hint: status.targets must name only members and Sentinels."
        )
    if labels.get(PART_LABEL) == EXPORTER:
        return (
            f"pod {assignment.pod} carries {PART_LABEL}={EXPORTER}: it only exports metrics. "
            "Hint: status.targets must name only members and Sentinels."
        )
    if assignment.cluster and cluster != assignment.cluster:
        return (
            f"pod {assignment.pod} carries {CLUSTER_LABEL}={cluster}, but the fault is for {assignment.cluster!r}. "
            "Hint: status.targets must name only pods of that cluster."
        )
    return ""


def _labels(body: Body | None) -> Body:
    labels: Body = ((body or {}).get("metadata") or {}).get("labels") or {}
    return labels
