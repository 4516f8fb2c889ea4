"""What may be hit: checked again on the node, whatever the API server let through. Pure."""

from __future__ import annotations

from .faults import Body, Order

CHAOS_LABEL, ALLOWED = "caplab.dev/chaos", "allowed"
CLUSTER_LABEL = "caplab.dev/cluster"
PROTECTED = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})


def refusal(order: Order, namespace: Body | None, pod: Body | None, node: str, own_namespace: str) -> str:
    """Why an order is not carried out, with the mend; '' if it may be. None: there is no such object."""
    return _namespace_refused(order, namespace, own_namespace) or _pod_refused(order, pod, node)


def _namespace_refused(order: Order, namespace: Body | None, own_namespace: str) -> str:
    name = order.namespace
    if name in PROTECTED or name == own_namespace:
        return (
            f"namespace {name} is protected: no fault happens there. Mend: make the cluster in a namespace of its own."
        )
    if _labels(namespace).get(CHAOS_LABEL) != ALLOWED:
        return (
            f"namespace {name} does not carry the label {CHAOS_LABEL}={ALLOWED}. "
            f"Mend: kubectl label namespace {name} {CHAOS_LABEL}={ALLOWED}, if faults may happen there."
        )
    return ""


def _pod_refused(order: Order, pod: Body | None, node: str) -> str:
    again = "Mend: make the fault anew, so that its target is resolved anew."
    if pod is None:
        return f"pod {order.pod} is gone. {again}"
    uid = pod["metadata"].get("uid")
    if uid != order.pod_uid:
        return f"pod {order.pod} has uid {uid}, and the target has {order.pod_uid}: it was replaced. {again}"
    there = (pod.get("spec") or {}).get("nodeName")
    if there != node:
        return f"pod {order.pod} is on node {there}, not on {node}. {again}"
    cluster = _labels(pod).get(CLUSTER_LABEL)
    if not order.cluster or cluster != order.cluster:
        return (
            f"pod {order.pod} carries {CLUSTER_LABEL}={cluster}, and spec.target.name is {order.cluster!r}: "
            "it is no member of that cluster. Mend: status.targets must name members only."
        )
    return ""


def _labels(body: Body | None) -> Body:
    labels: Body = ((body or {}).get("metadata") or {}).get("labels") or {}
    return labels
