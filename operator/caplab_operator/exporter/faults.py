"""Gauges of faults by the clusters that they hit, from their objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from caplab.contract.engines import name_for
from caplab.contract.objects import FAULT_KINDS, Fault
from caplab.contract.phases import ACTIVE

from ..faults.lifecycle import time_left
from .clusters import LABELS, Labels, labels_of

Body = Mapping[str, Any]
Key = tuple[str, str, str, str]  # kind of fault, then the cluster's labels


def fault_metrics(faults: Iterable[Fault], clusters: Iterable[Body], now: datetime) -> Iterator[Metric]:
    """Yield gauges of each kind for each cluster, and of each fault for the clusters that it hits; 0 for no fault."""
    all_labels = [labels_of(cluster) for cluster in clusters]
    active: dict[Key, float] = {(kind, *labels): 0.0 for labels in all_labels for kind in FAULT_KINDS}
    overdue = dict(active)
    for fault in faults:
        for kind in fault.spec.kinds:
            for labels in clusters_hit(fault, all_labels):
                key, is_active = (kind, *labels), is_live(fault, labels[2])
                late = seconds_overdue(fault, now) if is_active else 0.0
                active[key] = max(active.get(key, 0.0), float(is_active))
                overdue[key] = max(overdue.get(key, 0.0), late)
    yield _family("caplab_fault_active", "1 while a fault of that kind is live on the cluster.", active)
    yield _family(
        "caplab_fault_overdue_seconds", "How long a live fault is past its duration; 0 while it is in time.", overdue
    )


def _family(name: str, text: str, samples: Mapping[Key, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=("kind", *LABELS))
    for key, value in samples.items():
        family.add_metric(key, value)
    return family


def clusters_hit(fault: Fault, all_labels: Iterable[Labels]) -> set[Labels]:
    """Return the clusters that a fault hits: those of its targets' entries, and the one that it names."""
    namespace, target = str(fault.metadata.namespace), fault.spec.target
    if target.name:
        return {(name_for(target.kind or ""), namespace, target.name)}
    names = {entry.cluster for entry in fault.targets if entry.is_target and entry.cluster}
    of_names = {labels for labels in all_labels if labels[1] == namespace and labels[2] in names}
    return of_names | {("", namespace, name) for name in names - {labels[2] for labels in of_names}}


def is_live(fault: Fault, cluster: str) -> bool:
    """Whether a member of a cluster is under a fault, or the fault waits for its replacement."""
    if fault.status_or_empty.phase == ACTIVE:
        return True
    active = (entry for entry in fault.targets if entry.is_target and entry.state == ACTIVE)
    return any(entry.cluster in (None, cluster) for entry in active)


def seconds_overdue(fault: Fault, now: datetime) -> float:
    """Return how long ago a fault should have ended; 0 if it is in time, or its end can't be read."""
    return max(timedelta(0), -time_left(fault.status_or_empty, now)).total_seconds()
