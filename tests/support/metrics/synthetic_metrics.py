"""The metrics of a lab without one: every metric that dashboards name, as a pure function of time.

Each database has a prober in three zones; clients of Postgres have one planted outage. The values at a second are those
that a scrape at that second sees, so the outage's edges can be planted anywhere between two scrapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from caplab_dashboards import sources

RATE = 50.0  # acknowledged operations a second, of each kind
NAMESPACE = "demo"
VANTAGES = ("a", "b", "c")
ROUTES = ("service", "direct")
_BUCKETS = {"0.005": 0.5, "0.05": 0.98, "1.0": 1.0, "+Inf": 1.0}
_RUNS = (("postgres", "quorum", "kill-primary"), ("redis", "everysec", "kill-primary"), ("cache", "none", "outage"))

Sample = tuple[str, Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class Outage:
    """An outage: nothing is acknowledged from one second to another; requests time out a second later."""

    begins: float
    ends: float

    def lost_until(self, now: float) -> float:
        """Return how many of its seconds are over."""
        return max(0.0, min(now, self.ends) - self.begins)


Outages = Sequence[Outage]


def live(outages: Outages, now: float) -> Outage | None:
    """Return the outage at a second."""
    return next((outage for outage in outages if outage.begins <= now < outage.ends), None)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A database under test and its load."""

    engine: str
    name: str
    workload: str = "register"
    ops: tuple[str, ...] = ("write", "read")

    @property
    def labels(self) -> dict[str, str]:
        return {"engine": self.engine, "cluster_namespace": NAMESPACE, "cluster": self.name}

    @property
    def members(self) -> list[str]:
        return [f"{self.name}-{number}" for number in range(3)]


CLUSTERS = (
    Cluster("postgres", "pg"),
    Cluster("redis", "rd"),
    Cluster("cassandra", "cs"),
    Cluster("redis", "cache", "cache", ("read", "load")),
)


def lab(now: float, outages: Outages = ()) -> list[Sample]:
    """Return every sample of a scrape at a second after the start, with outages of Postgres."""
    samples = list(_runs())
    for cluster in CLUSTERS:
        here = outages if cluster.engine == "postgres" else ()
        samples += _clients(cluster, now, here)
        samples += _operator(cluster, live(here, now) is not None)
        samples += _exporter(cluster, now)
    samples += [("caplab_prober_stall_seconds_total", {"vantage": vantage}, 0.0) for vantage in VANTAGES]
    samples += [
        ("caplab_operator_oldest_round_seconds", {}, 0.4),
        ("caplab_agent_oldest_poll_seconds", {"node": "n"}, 1),
    ]
    return samples


def exposition(samples: Sequence[Sample], at: float | None = None) -> str:
    """Return the text that Prometheus reads; at: the samples' time, if it is not that of the scrape."""
    by_name: dict[str, list[str]] = {}
    for name, labels, value in samples:
        pairs = ",".join(f'{label}="{text}"' for label, text in labels.items())
        by_name.setdefault(name, []).append(f"{name}{{{pairs}}} {value:.6f}" + ("" if at is None else f" {at:.3f}"))
    return "".join("\n".join(lines) + "\n" for lines in by_name.values())


def _clients(cluster: Cluster, now: float, outages: Outages) -> Iterator[Sample]:
    for vantage in VANTAGES:
        load = {**cluster.labels, "workload": cluster.workload, "vantage": vantage}
        yield "caplab_probe_running", load, 1
        for route in ROUTES:
            yield from _of_route(cluster, {**load, "route": route}, now, outages)


def _of_route(cluster: Cluster, load: dict[str, str], now: float, outages: Outages) -> Iterator[Sample]:
    acked = RATE * (now - sum(outage.lost_until(now) for outage in outages))
    timed_out = RATE * sum(outage.lost_until(now - 1) for outage in outages)
    ended = {"ok": acked, "info": timed_out, "fail": 0.0}
    failing = live(outages, now)
    for op in cluster.ops:
        for outcome, count in ended.items():
            yield "caplab_operations_total", {**load, "op": op, "level": "", "outcome": outcome}, float(int(count))
        yield from _histogram("caplab_operation_latency_seconds", {**load, "op": op}, acked)
    for access in ("write", "read"):
        yield "caplab_seconds_since_last_ack", {**load, "access": access}, now - failing.begins if failing else 0.01
    yield "caplab_stale_reads_total", load, 0.0
    yield from _histogram("caplab_read_staleness_seconds", load, 0.0)


def _histogram(name: str, labels: Mapping[str, str], count: float) -> Iterator[Sample]:
    for least, share in _BUCKETS.items():
        yield f"{name}_bucket", {**labels, "le": least}, float(int(count * share))
    yield f"{name}_count", labels, float(int(count))
    yield f"{name}_sum", labels, count * 0.01


def _operator(cluster: Cluster, failing: bool) -> Iterator[Sample]:
    has_primary = cluster.engine != "cassandra"
    yield "caplab_cluster_ready", cluster.labels, 0 if failing else 1
    yield "caplab_fault_active", {**cluster.labels, "kind": "kill"}, 1 if failing else 0
    yield "caplab_fault_overdue_seconds", {**cluster.labels, "kind": "kill"}, 0
    if has_primary:
        yield "caplab_cluster_epoch", cluster.labels, 2 if failing else 1
    for number, member in enumerate(cluster.members):
        labels = {**cluster.labels, "member": member, "zone": VANTAGES[number]}
        yield "caplab_member_up", labels, 0 if failing and number == 0 else 1
        if has_primary:
            yield "caplab_member_primary", labels, 1 if number == 0 else 0
            yield "caplab_member_replication_lag_bytes", labels, 100.0 * number


def _exporter(cluster: Cluster, now: float) -> Iterator[Sample]:
    """Return an exporter's samples: counters grow by ten a second, gauges are 1."""
    more = {"application_name": "pg-1", "area": "heap", "operation": "Read", "quantile": "0.99", "state": "active"}
    for member in cluster.members:
        for name, type_ in sources.EXPORTERS[cluster.engine].items():
            value = 10.0 * now if type_ == sources.COUNTER else 1.0
            yield name, {**cluster.labels, "member": member, **more}, value


def _runs() -> Iterator[Sample]:
    figures = {
        "failover_seconds": 2.0,
        "failover_bound_seconds": 24.0,
        "acked_lost_writes": 0.0,
        "acked_lost_writes_bound": 0.0,
        "stale_reads": 0.0,
        "stale_reads_bound": 0.0,
        "ack_ratio": 0.98,
        "attempted_writes": 1000.0,
        "acked_writes": 980.0,
        "survived_writes": 980.0,
        "unacked_found_writes": 3.0,
    }
    for engine, mode, fault in _RUNS:
        run = {"experiment": f"{engine}/{fault}", "engine": engine, "mode": mode, "fault": fault}
        yield "caplab_run_started_timestamp_seconds", run, 1.7e9
        yield "caplab_run_ended_timestamp_seconds", run, 1.7e9 + 90
        for verdict in ("valid", "invalid", "unknown"):
            yield "caplab_run_verdict", {**run, "verdict": verdict}, 1 if verdict == "valid" else 0
        for vantage, route in (("all", "all"), ("majority", "service"), ("a", "service"), ("b", "direct")):
            for name, value in figures.items():
                # Only a part of Redis' run is judged: there are no bounds for the whole.
                judged = (vantage == "majority") if engine == "redis" else (vantage == "all")
                if vantage != "majority" or engine == "redis":
                    here = 1.5 if name == "failover_seconds" and vantage == "majority" else value
                    if judged or "_bound" not in name:
                        yield f"caplab_run_{name}", {**run, "vantage": vantage, "route": route}, here


def targets() -> Iterator[Sample]:
    """Return what Prometheus itself says about its targets: all answer."""
    yield "ALERTS", {"alertname": "CaplabNoWriteAcked", "alertstate": "firing"}, 1
    for job in ("caplab-operator", "caplab-prober", "caplab-agent"):
        yield "up", {"job": job}, 1
    for cluster in CLUSTERS:
        for member in cluster.members:
            yield "up", {"job": f"caplab-{cluster.engine}", **cluster.labels, "member": member}, 1
