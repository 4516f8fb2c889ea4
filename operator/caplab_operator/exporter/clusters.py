"""Gauges of clusters and their members, from their objects and status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from caplab.contract import meta
from caplab.contract.engines import BY_KIND
from caplab.contract.phases import READY

from ..engines.pods import ordinal

LABELS = ("engine", "cluster_namespace", "cluster")
_MEMBER = (*LABELS, "member", "zone")
_STATES = ("True", "False", "Unknown")
# A Redis master that the Sentinels do not name: it takes writes as a primary does.
_STRAY = "stray master"
# Of an epoch that is an id and not a number: as many digits as a sample holds exactly.
_HEX_DIGITS = 13

Body = Mapping[str, Any]
Labels = tuple[str, str, str]


def labels_of(cluster: Body) -> Labels:
    """Return the labels that every figure of a cluster has."""
    return BY_KIND[cluster["kind"]].name, meta.namespace_of(cluster), meta.name_of(cluster)


@dataclass(slots=True)
class Members:
    """The members that clusters have had, and their zones: a member whose pod is gone is down, not forgotten."""

    _zones: dict[Labels, dict[str, str]] = field(default_factory=dict)

    def of(self, cluster: Body) -> list[Body]:
        """Return the members of a cluster's status, and those that it should have and had before."""
        reported = list(_status(cluster).get("members") or ())
        zones = self._zones.setdefault(labels_of(cluster), {})
        zones |= {member["name"]: member.get("zone", "") for member in reported}
        there, wanted = {member["name"] for member in reported}, cluster["spec"].get("replicas", 0)
        for name in [name for name in zones if name not in there and ordinal(name) >= wanted]:
            del zones[name]  # the cluster has become smaller
        gone = [{"name": name, "zone": zone} for name, zone in zones.items() if name not in there]
        return [*reported, *gone]

    def keep(self, clusters: Sequence[Body]) -> None:
        """Keep only these clusters."""
        kept = {labels_of(cluster) for cluster in clusters}
        for labels in self._zones.keys() - kept:
            del self._zones[labels]


def cluster_metrics(clusters: Sequence[Body], members: Members) -> Iterator[Metric]:
    """Yield all gauges of clusters and members; a figure that a status lacks has no sample."""
    members.keep(clusters)
    yield from _of_clusters(clusters)
    yield _conditions(clusters)
    yield from _of_members(clusters, members)


def _status(cluster: Body) -> Body:
    return cluster.get("status") or {}


def _of_clusters(clusters: Sequence[Body]) -> Iterator[Metric]:
    ready = GaugeMetricFamily("caplab_cluster_ready", "1 while the cluster's phase is Ready.", labels=LABELS)
    desired = GaugeMetricFamily("caplab_cluster_members_desired", "Members that the spec asks for.", labels=LABELS)
    well = GaugeMetricFamily("caplab_cluster_members_ready", "Members that are ready.", labels=LABELS)
    epoch = GaugeMetricFamily(
        "caplab_cluster_epoch",
        "The primary's term: Postgres' timeline, or the first 52 bits of Redis' replication id, which have no order.",
        labels=LABELS,
    )
    for cluster in clusters:
        labels, status = labels_of(cluster), _status(cluster)
        ready.add_metric(labels, float(status.get("phase") == READY))
        desired.add_metric(labels, float(cluster["spec"].get("replicas", 0)))
        well.add_metric(labels, float(status.get("readyMembers") or 0))
        if (number := epoch_number(status.get("epoch"))) is not None:
            epoch.add_metric(labels, number)
    return iter((ready, desired, well, epoch))


def epoch_number(epoch: object) -> float | None:
    """Convert an epoch to a sample; None if there is none."""
    try:
        return float(int(epoch[:_HEX_DIGITS], 16) if isinstance(epoch, str) else epoch)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _conditions(clusters: Sequence[Body]) -> Metric:
    family = GaugeMetricFamily(
        "caplab_cluster_condition",
        "1 for the current status of the cluster's condition, 0 for the other statuses.",
        labels=(*LABELS, "condition", "status"),
    )
    for cluster in clusters:
        for name, condition in meta.conditions_of(_status(cluster)).items():
            for state in _STATES:
                family.add_metric((*labels_of(cluster), name, state), float(condition["status"] == state))
    return family


def _of_members(clusters: Sequence[Body], members: Members) -> Iterator[Metric]:
    up = GaugeMetricFamily("caplab_member_up", "1 while the member is ready, as the operator sees it.", labels=_MEMBER)
    primary = GaugeMetricFamily(
        "caplab_member_primary",
        "1 while the member is primary, or a Redis master that the Sentinels do not name.",
        labels=_MEMBER,
    )
    lag = GaugeMetricFamily(
        "caplab_member_replication_lag_bytes", "How far a replica is behind its primary.", labels=_MEMBER
    )
    for cluster in clusters:
        has_primary = BY_KIND[cluster["kind"]].has_primary
        for member in members.of(cluster):
            labels = (*labels_of(cluster), member["name"], member.get("zone", ""))
            up.add_metric(labels, float(bool(member.get("ready"))))
            if has_primary:
                primary.add_metric(labels, float(member.get("role") == "primary" or member.get("state") == _STRAY))
            if "lagBytes" in member:
                lag.add_metric(labels, float(member["lagBytes"]))
    return iter((up, primary, lag))
