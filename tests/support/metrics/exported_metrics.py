"""The exports of prober, operator and agent, each with a sample of every metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from caplab_agent import exporter as agent
from caplab_agent.faults import Assignment, FaultRecord
from caplab_agent.injectors.partition.addresses import Partition
from caplab_operator import exporter as operator
from caplab_operator.exporter import Snapshot
from caplab_probes import clock
from caplab_probes import exporter as prober
from caplab_probes.exporter import Exporter
from caplab_probes.history.writer import Row
from prometheus_client import CollectorRegistry

from caplab.contract.objects import Fault, Freeze, Kill
from caplab.contract.runs import Run

SECOND_NS = 1_000_000_000
UNTIL = "2026-01-01T00:00:30+00:00"
_CONDITIONS = [{"type": "Ready", "status": "True"}, {"type": "Startable", "status": "Unknown"}]


def row(op: str, value: int | None = 1, **fields: Any) -> Row:
    """Make an acknowledged operation that began now, as scheduled, and took 4 ms."""
    now = clock.now_ns()
    plain = Row("a", 1, op, "k", value, None, None, None, "service", "m", "1", now, now, now + 4_000_000, "ok", None)
    return plain._replace(**fields)


def cluster(kind: str, name: str, namespace: str = "demo", **status: Any) -> dict[str, Any]:
    """Make a cluster of three healthy members, unless its status says something else."""
    members = [
        {"name": f"{name}-{n}", "zone": "abc"[n], "role": "replica" if n else "primary", "ready": True, "state": "x"}
        | ({"lagBytes": 7} if n else {})
        for n in range(3)
    ]
    full = {"phase": "Ready", "readyMembers": 3, "members": members, "conditions": _CONDITIONS, "epoch": 4, **status}
    return {"kind": kind, "metadata": {"namespace": namespace, "name": name}, "spec": {"replicas": 3}, "status": full}


def fault(name: str, kind: str = "kill", namespace: str = "demo", **status: Any) -> Fault:
    """Make a fault of pg's primary."""
    target = {"uid": "u", "pod": "pg-0", "cluster": "pg", "node": "n", "state": "Active"}
    full = {"phase": "Active", "until": UNTIL, "targets": [target], **status}
    spec: dict[str, Any] = {
        "target": {"kind": "PostgresCluster", "name": "pg", "role": "primary"},
        "durationSeconds": 30,
    }
    spec[kind] = {"from": "peers"} if kind == "partition" else {}
    return Fault.from_body({"metadata": {"namespace": namespace, "name": name}, "spec": spec, "status": full})


def run(name: str, experiment: str = "kill-primary", second: int = 1, **status: Any) -> Run:
    """Make a run of postgres quorum that ended in that second of the year."""
    figures = {
        "failoverSeconds": 1.5, "attempted": 9, "acked": 8, "survived": 7, "lost": 1, "unackedFound": 0,
        "staleReads": 2, "ackRatio": 0.9,
    }  # fmt: skip
    bounds = {"failoverSeconds": 24.0, "lost": 0.0, "staleReads": 0.0}
    of_run = {"experiment": f"postgres/{experiment}", "engine": "postgres", "mode": "quorum", "fault": experiment}
    full = {
        "startedAt": "2026-01-01T00:00:00+00:00",
        "endedAt": f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}+00:00",
        "verdict": "valid",
        "figures": figures,
        "bounds": bounds,
        "byVantage": [{"vantage": "a", "route": "direct", "lost": 1, "failoverSeconds": 1.5, "bounds": {"lost": 0.0}}],
        **status,
    }
    return Run.from_body({"metadata": {"namespace": "demo", "name": name}, "spec": of_run, "status": full})


def of_operator(snapshot: Snapshot) -> CollectorRegistry:
    """Return all that the operator exports for such a lab."""
    registry = operator.live_registry(lambda: snapshot, lambda: 0.5)
    for collector in operator.runs_registry(snapshot.runs)._collector_to_names:
        registry.register(collector)
    return registry


def of_agent(records: Sequence[FaultRecord] = ()) -> CollectorRegistry:
    """Return the agent's registry, with these faults on its node."""
    return agent.registry_of("node-a", lambda: records, lambda: 3.0)


def fault_record(action: Kill | Freeze | Partition, pod: str = "pg-0") -> FaultRecord:
    """Make a record of a live fault."""
    return FaultRecord(
        assignment=Assignment(
            fault_uid="f", namespace="demo", name="f", cluster="pg", pod_uid=f"u-{pod}", pod=pod, action=action
        ),
        boot_id="boot",
        deadline_ns=1,
        state="Active",
    )


@contextmanager
def everything() -> Iterator[dict[str, CollectorRegistry]]:
    """Return for each part a registry in which every metric has a sample."""
    exporter = Exporter("a")
    lab = Snapshot(
        [cluster("PostgresCluster", "pg"), cluster("RedisCluster", "rd"), cluster("CassandraCluster", "cs")],
        [fault("f")],
        [run("r")],
    )
    with exporter.load("postgres", "demo", "pg", "register") as figures, figures.runs(("service",)):
        figures.observe(row("write", 7, return_ns=clock.now_ns() - SECOND_NS))
        figures.observe(row("read", 6))
        yield {
            "prober": prober.registry_of(exporter),
            "operator": of_operator(lab),
            "agent": of_agent([fault_record(Kill())]),
        }
