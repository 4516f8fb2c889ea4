"""What may be hit: checked again on the node, whatever the API server let through. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from .drop_rules import Address, Drops, address
from .faults import Body, Order, Partition

CHAOS_LABEL, ALLOWED = "caplab.dev/chaos", "allowed"
CLUSTER_LABEL, PART_LABEL = "caplab.dev/cluster", "caplab.dev/part"
_NO_TARGET = "exporter"  # a part of a cluster that is neither a member nor a Sentinel
_AGAIN = "Hint: make the fault anew, so that its target is resolved anew."
PROTECTED = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})


def refusal(order: Order, namespace: Body | None, pod: Body | None, node: str, own_namespace: str) -> str:
    """Why an order is not carried out, with the hint; '' if it may be. None: there is no such object."""
    return (
        _namespace_refused(order, namespace, own_namespace)
        or _pod_refused(order, pod, node)
        or _addresses_refused(order, pod)
    )


class Refused(Exception):
    """An address that no packet may be dropped for; the message names the field and the hint."""


def own_addresses(pod: Body | None) -> tuple[str, ...]:
    """The addresses of a pod and of its node, as far as its status tells them yet."""
    return tuple(sorted({text for field in ("podIP", "hostIP") for text in _listed(pod, field)}))


def knows_its_node(pod: Body | None) -> bool:
    """Whether a pod's status tells its node's address: until then nobody can say that it is not cut off."""
    return any(_listed(pod, "hostIP"))


def permitted(what: Partition, spared: tuple[str, ...]) -> Drops:
    """The addresses of a partition as values; spared: those of the pod and its node. Raises Refused."""
    never = {address(each) for each in spared}
    return Drops(
        tuple(_permitted("dropsFrom", each, never) for each in what.drops_from),
        tuple(_permitted("dropsTo", each, never) for each in what.drops_to),
    )


def _permitted(field: str, text: str, never: set[Address]) -> Address:
    hint = "Hint: it is the operator's to write, and must name other pods and Services only."
    try:
        found = address(text)
    except ValueError:
        raise Refused(f"status.targets[].{field} names {text!r}, which is no IP address. {hint}") from None
    if found in never:
        raise Refused(f"status.targets[].{field} names {text}, an address of the pod itself or of its node. {hint}")
    if found.is_loopback or found.is_unspecified or found.is_multicast:
        raise Refused(f"status.targets[].{field} names {text}, which is no address of another. {hint}")
    return found


def _addresses_refused(order: Order, pod: Body | None) -> str:
    if not isinstance(order.what, Partition):
        return ""
    if not order.replaces and not knows_its_node(pod):
        return f"the status of pod {order.pod} names no hostIP, so that it may be cut off from its own node. {_AGAIN}"
    try:
        permitted(order.what, own_addresses(pod))
    except Refused as refused:
        return str(refused)
    return ""


def _listed(pod: Body | None, field: str) -> Iterator[str]:
    status = (pod or {}).get("status") or {}
    several = (each.get("ip") for each in status.get(f"{field}s") or ())
    yield from (str(each) for each in (status.get(field), *several) if each)


def _namespace_refused(order: Order, namespace: Body | None, own_namespace: str) -> str:
    name = order.namespace
    if name in PROTECTED or name == own_namespace:
        return (
            f"namespace {name} is protected: no fault happens there. Hint: make the cluster in a namespace of its own."
        )
    if _labels(namespace).get(CHAOS_LABEL) != ALLOWED:
        return (
            f"namespace {name} does not carry the label {CHAOS_LABEL}={ALLOWED}. "
            f"Hint: kubectl label namespace {name} {CHAOS_LABEL}={ALLOWED}, if faults may happen there."
        )
    return ""


def _pod_refused(order: Order, pod: Body | None, node: str) -> str:
    if pod is None:
        return f"pod {order.pod} is gone. {_AGAIN}"
    uid = pod["metadata"].get("uid")
    if uid != order.pod_uid:
        return f"pod {order.pod} has uid {uid}, and the target has {order.pod_uid}: it was replaced. {_AGAIN}"
    there = (pod.get("spec") or {}).get("nodeName")
    if there != node:
        return f"pod {order.pod} is on node {there}, not on {node}. {_AGAIN}"
    return _cluster_refused(order, _labels(pod))


def _cluster_refused(order: Order, labels: Body) -> str:
    cluster = labels.get(CLUSTER_LABEL)
    if not cluster:
        return (
            f"pod {order.pod} does not carry the label {CLUSTER_LABEL}: it is no member of a cluster. "
            "Hint: status.targets must name members and Sentinels only."
        )
    if labels.get(PART_LABEL) == _NO_TARGET:
        return (
            f"pod {order.pod} carries {PART_LABEL}={_NO_TARGET}: it only tells of members. "
            "Hint: status.targets must name members and Sentinels only."
        )
    if order.cluster and cluster != order.cluster:
        return (
            f"pod {order.pod} carries {CLUSTER_LABEL}={cluster}, and the fault is for {order.cluster!r}: "
            "it is no member of that cluster. Hint: status.targets must name members of it only."
        )
    return ""


def _labels(body: Body | None) -> Body:
    labels: Body = ((body or {}).get("metadata") or {}).get("labels") or {}
    return labels
