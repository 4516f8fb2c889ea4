"""What the operator tells of clusters, faults and runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from caplab_operator.exporter import MetricsPage, Snapshot, runs
from caplab_operator.exporter.clusters import Members, cluster_metrics, epoch_number
from caplab_operator.exporter.faults import fault_metrics
from caplab_operator.exporter.runs import latest, metrics
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from support.metrics.exported_metrics import UNTIL, cluster, fault, of_operator, run

from caplab.contract.objects import FAULT_KINDS, FaultSpec, Partition, Target
from caplab.contract.runs import RunStatus

CUT_ZONE = FaultSpec(target=Target(zone="a"), partition=Partition(source="peers"))

IN_TIME = datetime.fromisoformat(UNTIL) - timedelta(seconds=5)
PG, RD = cluster("PostgresCluster", "pg"), cluster("RedisCluster", "rd")


def samples(families: Any) -> dict[str, float]:
    """By name and the values of the labels."""
    made: list[Metric] = list(families)
    return {
        " ".join([sample.name.removeprefix("caplab_"), *sample.labels.values()]): sample.value
        for family in made
        for sample in family.samples
    }


def of_clusters(*clusters: Any, members: Members | None = None) -> dict[str, float]:
    return samples(cluster_metrics(clusters, members or Members()))


def test_a_cluster_tells_how_it_stands() -> None:
    gauges = of_clusters(PG)
    assert [gauges[f"cluster_{name} postgres demo pg"] for name in ("ready", "members_desired", "members_ready")] == [
        1, 3, 3,
    ]  # fmt: skip
    assert gauges["cluster_epoch postgres demo pg"] == 4
    assert gauges["cluster_condition postgres demo pg Ready True"] == 1
    assert gauges["cluster_condition postgres demo pg Startable True"] == 0
    assert gauges["cluster_condition postgres demo pg Startable Unknown"] == 1
    assert [gauges[f"member_primary postgres demo pg pg-{n} {'abc'[n]}"] for n in range(3)] == [1, 0, 0]
    assert [gauges.get(f"member_replication_lag_bytes postgres demo pg pg-{n} {'abc'[n]}") for n in range(3)] == [
        None, 7, 7,
    ]  # fmt: skip


def test_a_cluster_that_nobody_has_looked_at_yet_is_not_ready() -> None:
    gauges = of_clusters({**PG, "status": None})
    assert gauges == {
        "cluster_ready postgres demo pg": 0,
        "cluster_members_desired postgres demo pg": 3,
        "cluster_members_ready postgres demo pg": 0,
    }


def test_a_master_that_the_sentinels_do_not_name_is_seen_beside_the_primary() -> None:
    members = [
        {"name": "rd-0", "zone": "a", "role": "replica", "state": "stray master", "ready": False},
        {"name": "rd-1", "zone": "b", "role": "primary", "state": "running", "ready": True},
    ]
    gauges = of_clusters(cluster("RedisCluster", "rd", members=members))
    assert (gauges["member_primary redis demo rd rd-0 a"], gauges["member_primary redis demo rd rd-1 b"]) == (1, 1)
    assert gauges["member_up redis demo rd rd-0 a"] == 0


def test_a_ring_has_no_primary() -> None:
    gauges = of_clusters(cluster("CassandraCluster", "cs", epoch=None))
    assert gauges["member_up cassandra demo cs cs-0 a"] == 1
    assert not any(name.startswith(("member_primary", "cluster_epoch")) for name in gauges)


def test_a_member_whose_pod_is_gone_is_down_and_not_forgotten() -> None:
    members = Members()
    of_clusters(PG, RD, members=members)
    fewer = cluster("PostgresCluster", "pg", members=PG["status"]["members"][1:])
    gauges = of_clusters(fewer, RD, members=members)
    assert (gauges["member_up postgres demo pg pg-0 a"], gauges["member_primary postgres demo pg pg-0 a"]) == (0, 0)
    assert gauges["member_up postgres demo pg pg-1 b"] == 1

    smaller = {**fewer, "spec": {"replicas": 1}, "status": {**fewer["status"], "members": []}}
    assert [name for name in of_clusters(smaller, members=members) if name.startswith("member_up")] == [
        "member_up postgres demo pg pg-0 a"
    ]
    of_clusters(RD, members=members)  # the cluster is deleted, and another made under its name
    assert not any("pg-0" in name for name in of_clusters({**PG, "status": {}}, RD, members=members))


@pytest.mark.parametrize(
    ("epoch", "number"),
    [(4, 4.0), ("4f0000000000000a" * 2, float(0x4F00000000000)), ("ff" * 20, float((1 << 52) - 1)), (None, None)],
)
def test_an_epoch_is_a_number_that_changes_with_it(epoch: object, number: float | None) -> None:
    assert epoch_number(epoch) == number
    assert epoch_number("no id") is None


def of_faults(*faults: Any, now: datetime = IN_TIME, clusters: Any = (PG, RD)) -> dict[str, float]:
    return samples(fault_metrics(faults, clusters, now))


def test_every_kind_of_fault_is_told_of_every_cluster_and_is_0_where_there_is_none() -> None:
    gauges = of_faults()
    assert len(gauges) == 2 * len(FAULT_KINDS) * 2
    assert set(gauges.values()) == {0.0}
    assert gauges["fault_active kill postgres demo pg"] == 0


def test_a_fault_is_live_from_its_injection_to_its_end() -> None:
    key, entry = "fault_active kill postgres demo pg", fault("f").targets[0].to_body()
    assert of_faults(fault("f"))[key] == 1
    assert of_faults(fault("f", phase="Pending", targets=[{**entry, "state": None}]))[key] == 0
    assert of_faults(fault("f", phase="Pending"))[key] == 1  # one member is hit, another is not yet
    assert of_faults(fault("f", phase="Healing"))[key] == 1
    assert of_faults(fault("f", phase="Healing", targets=[{**entry, "state": "Healed"}]))[key] == 0
    assert of_faults(fault("f", phase="Healed", targets=[{**entry, "state": "Healed"}]))[key] == 0
    # The pod is gone, and the one that takes its place is waited for.
    assert of_faults(fault("f", targets=[{**entry, "state": "Gone"}]))[key] == 1


def test_of_several_faults_of_a_kind_one_that_is_live_is_enough() -> None:
    over = fault("g", phase="Healed", targets=[])
    assert of_faults(fault("f"), over)["fault_active kill postgres demo pg"] == 1
    assert of_faults(over, fault("f"))["fault_active kill postgres demo pg"] == 1


def test_a_fault_of_a_zone_is_one_of_each_cluster_that_has_members_there_and_not_of_a_far_end() -> None:
    entries = [
        {"uid": "1", "cluster": "pg", "state": "Active", "end": "target"},
        {"uid": "2", "cluster": "rd", "state": "Healed"},
        {"uid": "3", "cluster": "far", "state": "Active", "end": "other"},
    ]
    cut = replace(fault("f", "partition", phase="Healing", targets=entries), spec=CUT_ZONE)
    gauges = of_faults(cut)
    assert gauges["fault_active partition postgres demo pg"] == 1
    assert gauges["fault_active partition redis demo rd"] == 0
    assert not any("far" in name for name in gauges)


def test_a_fault_whose_cluster_is_gone_is_still_told() -> None:
    assert of_faults(fault("f"), clusters=())["fault_active kill postgres demo pg"] == 1
    cut = replace(fault("f", "partition"), spec=CUT_ZONE)
    assert of_faults(cut, clusters=())["fault_active partition  demo pg"] == 1


def test_a_fault_that_outlives_its_duration_says_by_how_much() -> None:
    key = "fault_overdue_seconds kill postgres demo pg"
    late = datetime.fromisoformat(UNTIL) + timedelta(seconds=12)
    assert of_faults(fault("f"))[key] == 0
    assert of_faults(fault("f"), now=late)[key] == 12
    assert of_faults(fault("f", phase="Healed", targets=[]), now=late)[key] == 0
    assert of_faults(fault("f", until="whenever"), now=datetime.now(UTC))[key] == 0


def test_the_latest_run_of_each_kind_is_told_with_what_was_predicted() -> None:
    runs = [
        run("b", second=2, verdict="invalid", figures={"lost": 3, "failoverSeconds": 1.5}),
        run("a", second=1),
        replace(run("c", second=9), status=RunStatus(started_at="2026-01-01T00:00:08Z")),  # is under way
        run("d", "partition-primary", second=5, bounds={}),
        run("e", second=30, endedAt="when it is done"),
    ]
    assert latest(runs) == [runs[0], runs[3]]
    gauges = samples(metrics(latest(runs)))
    kill = "postgres/kill-primary postgres quorum kill-primary"
    assert gauges[f"run_acked_lost_writes {kill} all all"] == 3
    assert gauges[f"run_acked_lost_writes_bound {kill} all all"] == 0
    assert gauges[f"run_acked_lost_writes {kill} a direct"] == 1
    assert gauges[f"run_acked_lost_writes_bound {kill} a direct"] == 0
    assert gauges[f"run_failover_seconds {kill} all all"] == 1.5
    assert gauges[f"run_failover_bound_seconds {kill} all all"] == 24
    assert f"run_failover_bound_seconds {kill} a direct" not in gauges
    assert (gauges[f"run_verdict {kill} invalid"], gauges[f"run_verdict {kill} valid"]) == (1, 0)
    assert gauges[f"run_ended_timestamp_seconds {kill}"] - gauges[f"run_started_timestamp_seconds {kill}"] == 2
    assert f"run_stale_reads {kill} all all" not in gauges  # not measured: no sample
    side = {"side": "majority", "route": "service", "failoverSeconds": 9.0, "bounds": {"failoverSeconds": 24.0}}
    of_side = samples(metrics([run("f", bySide=[side])]))
    assert of_side[f"run_failover_seconds {kill} majority service"] == 9
    assert of_side[f"run_failover_bound_seconds {kill} majority service"] == 24
    cut = "postgres/partition-primary postgres quorum partition-primary all all"
    assert (f"run_failover_seconds {cut}" in gauges, f"run_failover_bound_seconds {cut}" in gauges) == (True, False)


@pytest.mark.parametrize("ended", ["soon", "", "9" * 40, "0001-01-01T00:00:00", None])
def test_a_run_that_says_no_time_takes_the_others_from_nobody(ended: Any) -> None:
    odd, well = run("odd", "partition-primary", endedAt=ended), run("well", startedAt=ended)
    assert latest([odd, well]) == [well]
    page = MetricsPage(lambda: Snapshot([PG], [], [odd, well]), lambda: 0.5)().decode()
    assert page.count("caplab_run_verdict{") == 3
    assert "caplab_run_started_timestamp_seconds{" not in page


def test_what_a_run_tells_of_twice_is_exported_once() -> None:
    side = {"side": "majority", "route": "direct", "lost": 2}
    rows = [{"vantage": "a", "route": "direct", "lost": 3}] * 2
    rows += [{"vantage": where, "route": route, "lost": 7} for where, route in (("all", "all"), ("majority", "direct"))]
    exported = metrics([run("r", byVantage=rows, bySide=[side, side])])
    (family,) = (metric for metric in exported if metric.name == "caplab_run_acked_lost_writes")
    figures = [(sample.labels["vantage"], sample.labels["route"], sample.value) for sample in family.samples]
    assert sorted(figures) == [("a", "direct", 3), ("all", "all", 1), ("majority", "direct", 2)]


def test_runs_are_written_anew_only_where_they_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def noted(bodies: Any) -> Any:
        written.append(len(bodies))
        return latest(bodies)

    monkeypatch.setattr(runs, "latest", noted)
    lab = Snapshot([PG], [], [run("r-1")])
    text = MetricsPage(lambda: Snapshot(lab.clusters, lab.faults, list(lab.runs)), lambda: 0.5)
    written.clear()
    assert [text().count(b"caplab_run_verdict{") for _ in range(3)] == [3, 3, 3]
    assert written == [1]

    lab = Snapshot([RD], [], [run("r-1", verdict="invalid")])
    page = text().decode()
    assert 'mode="quorum",verdict="invalid"} 1.0' in page
    assert 'caplab_cluster_ready{cluster="rd"' in page
    lab = Snapshot([RD], [], [*lab.runs, run("r-2", "partition-primary")])
    assert text().count(b"caplab_run_verdict{") == 6
    lab = Snapshot()
    assert text().count(b"caplab_run_verdict{") == 0
    assert written == [1, 1, 2, 0]


def test_the_text_is_that_of_one_page() -> None:
    lab = Snapshot([PG, RD], [fault("f", phase="Healed", targets=[])], [run("r-1")])
    page, whole = MetricsPage(lambda: lab, lambda: 0.5)(), generate_latest(of_operator(lab))

    def lines(text: bytes) -> list[str]:
        return [line for line in text.decode().splitlines() if "process_" not in line]

    assert sorted(lines(page)) == sorted(lines(whole))
