"""The guard: which pods a fault may hit, checked on the node whatever the API server let through. Pure functions.

Kinds of faults have guards of their own besides.
"""

from __future__ import annotations

from caplab.contract.names import ALLOWED, CHAOS_LABEL, CLUSTER_LABEL, EXPORTER, PART_LABEL

from .faults import Assignment, Body

_HINT = "Hint: create the fault again, so that its target is resolved again."
PROTECTED_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})


def refusal(assignment: Assignment, namespace: Body | None, pod: Body | None, node: str, own_namespace: str) -> str:
    """Say why an assignment must not be carried out, with a hint; '' if it may be.

    namespace and pod: the objects as read; None: it does not exist.
    """
    return _namespace_refused(assignment, namespace, own_namespace) or _pod_refused(assignment, pod, node)


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
