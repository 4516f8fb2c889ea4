"""What a prober tells of its loads while they run."""

from __future__ import annotations

import pytest
from caplab_probes import clock
from caplab_probes.exporter import Exporter, registry_of
from caplab_probes.history.writer import Row
from prometheus_client import CollectorRegistry, generate_latest

NOW = 1_000_000_000_000
SECOND = 1_000_000_000
ACKED = Row("a", 1, "add", "k", 7, None, None, None, "service", "m0", "1", NOW - 4_000_000, NOW, NOW, "ok", None)
PG = ("postgres", "demo", "pg")
SERVICE = ("service",)


@pytest.fixture(autouse=True)
def _still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now_ns", lambda: NOW + 2 * SECOND)


def samples(exporter: Exporter) -> dict[str, float]:
    """By name and labels, without those of the load itself."""
    registry = CollectorRegistry()
    registry.register(exporter)
    values = {}
    for family in registry.collect():
        for sample in family.samples:
            labels = {**sample.labels}
            if "cluster" in labels:
                assert [labels.pop(name) for name in ("engine", "cluster_namespace", "cluster")] == [*PG]
            assert labels.pop("vantage") == "a"
            values[" ".join([sample.name.removeprefix("caplab_"), *labels.values()])] = sample.value
    return values


def test_age_latency_and_counts_are_told() -> None:
    exporter = Exporter("a")
    with exporter.load(*PG, "set") as figures, figures.runs(SERVICE):
        figures.observe(ACKED._replace(level="wait-1"))
        figures.observe(ACKED._replace(outcome="info", return_ns=None))
        metrics = samples(exporter)
    assert metrics["probe_running set"] == 1
    assert metrics["seconds_since_last_ack set service write"] == 2.0
    assert metrics["operations_total set service add wait-1 ok"] == 1
    assert metrics["operations_total set service add  info"] == 1
    assert metrics["operation_latency_seconds_bucket set service add 0.0025"] == 0
    assert metrics["operation_latency_seconds_bucket set service add 0.005"] == 1
    assert metrics["operation_latency_seconds_bucket set service add +Inf"] == 1
    assert metrics["operation_latency_seconds_sum set service add"] == 0.004
    assert not any(name.startswith("stale_reads") for name in metrics)  # a set has no versions


def test_every_outcome_is_told_from_the_first_operation_on() -> None:
    exporter = Exporter("a")
    with exporter.load(*PG, "set") as figures:
        figures.observe(ACKED)
        metrics = samples(exporter)
    assert [metrics[f"operations_total set service add  {outcome}"] for outcome in ("ok", "fail", "info")] == [1, 0, 0]


def test_the_age_counts_from_the_first_operation_until_there_is_an_ack_of_its_access() -> None:
    exporter = Exporter("a")
    with exporter.load(*PG, "register") as figures, figures.runs(SERVICE):
        figures.observe(ACKED._replace(op="write", outcome="fail"))
        figures.observe(ACKED._replace(op="write", outcome="fail", scheduled_ns=NOW))
        figures.observe(ACKED._replace(op="read", return_ns=NOW + SECOND))
        metrics = samples(exporter)
    assert metrics["seconds_since_last_ack register service write"] == 2.004
    assert metrics["seconds_since_last_ack register service read"] == 1.0


def test_the_age_is_that_of_the_latest_ack_of_any_kind_and_level() -> None:
    exporter = Exporter("a")
    with exporter.load(*PG, "cas") as figures, figures.runs(SERVICE):
        figures.observe(ACKED._replace(op="cas", level="QUORUM", return_ns=NOW - SECOND))
        figures.observe(ACKED._replace(op="cas", return_ns=NOW))
        figures.observe(ACKED._replace(op="load", return_ns=NOW + SECOND))  # no client's access
        assert samples(exporter)["seconds_since_last_ack cas service write"] == 2.0
        assert "seconds_since_last_ack cas service read" not in samples(exporter)


def test_there_is_no_age_while_a_probe_does_not_run() -> None:
    exporter = Exporter("a")
    with exporter.load(*PG, "set") as figures:
        assert samples(exporter)["probe_running set"] == 0
        with figures.runs(SERVICE):
            figures.observe(ACKED)
        metrics = samples(exporter)
        assert metrics["probe_running set"] == 0
        assert metrics["operations_total set service add  ok"] == 1
        assert not any(name.startswith("seconds_since") for name in metrics)


def test_the_age_of_a_route_goes_with_the_last_probe_on_it_and_others_stay() -> None:
    exporter = Exporter("a")
    with exporter.load(*PG, "set") as figures, figures.runs(SERVICE):
        with figures.runs(("service", "direct")):
            for route in ("service", "direct"):
                figures.observe(ACKED._replace(route=route))
            assert len([name for name in samples(exporter) if name.startswith("seconds_since")]) == 2
        metrics = samples(exporter)
    assert [name for name in metrics if name.startswith("seconds_since")] == [
        "seconds_since_last_ack set service write"
    ]
    assert metrics["probe_running set"] == 1


def test_probes_of_one_workload_on_one_cluster_share_series_which_go_with_the_last() -> None:
    exporter = Exporter("a")
    with exporter.load(*PG, "set") as first, first.runs(SERVICE):
        with exporter.load(*PG, "set") as second, second.runs(SERVICE), exporter.load(*PG, "register") as other:
            for figures in (first, second, other):
                figures.observe(ACKED)
            assert samples(exporter)["operations_total set service add  ok"] == 2
            assert samples(exporter)["operations_total register service add  ok"] == 1
        metrics = samples(exporter)
        assert (metrics["probe_running set"], metrics["operations_total set service add  ok"]) == (1, 2)
        assert "probe_running register" not in metrics
    assert list(samples(exporter)) == ["prober_stall_seconds_total"]


def written(version: int, at_ns: int) -> Row:
    return ACKED._replace(op="write", value=version, invoke_ns=at_ns, return_ns=at_ns)


def read(version: int | None, at_ns: int) -> Row:
    return ACKED._replace(op="read", value=version, invoke_ns=at_ns, return_ns=at_ns + SECOND)


@pytest.mark.parametrize("workload", ["register", "cache"])
def test_a_read_that_misses_an_own_acked_write_is_stale_and_how_long_it_is_told(workload: str) -> None:
    exporter = Exporter("a")
    with exporter.load(*PG, workload) as figures:
        figures.observe(read(None, NOW - 9 * SECOND))  # nothing is known yet
        for seconds, version in ((8, 3), (6, 4), (4, 5)):
            figures.observe(written(version, NOW - seconds * SECOND))
        figures.observe(read(5, NOW))
        figures.observe(read(6, NOW))  # of a write that is still under way
        assert samples(exporter)[f"stale_reads_total {workload} service"] == 0
        figures.observe(read(3, NOW))
        figures.observe(read(None, NOW - 7 * SECOND))
        metrics = samples(exporter)
    assert metrics[f"stale_reads_total {workload} service"] == 2
    assert metrics[f"read_staleness_seconds_count {workload} service"] == 2
    assert metrics[f"read_staleness_seconds_sum {workload} service"] == 6 + 1


def test_a_read_that_began_before_the_ack_is_not_stale() -> None:
    exporter = Exporter("a")
    with exporter.load(*PG, "register") as figures:
        figures.observe(written(3, NOW - 2 * SECOND))
        figures.observe(written(4, NOW))
        figures.observe(read(3, NOW - SECOND))
        figures.observe(read(3, NOW))
        assert samples(exporter)["stale_reads_total register service"] == 0


@pytest.mark.parametrize("workload", ["register-multi", "cas", "counter", "set", "clock"])
def test_where_keys_have_several_writers_nothing_is_said_of_staleness(workload: str) -> None:
    exporter = Exporter("a")
    with exporter.load(*PG, workload) as figures:
        figures.observe(written(4, NOW - 2 * SECOND))
        figures.observe(read(3, NOW))
        assert not any("stale" in name for name in samples(exporter))


def test_what_is_not_acknowledged_is_neither_missed_nor_stale() -> None:
    exporter = Exporter("a")
    with exporter.load(*PG, "register") as figures:
        figures.observe(written(3, NOW - 3 * SECOND))
        figures.observe(written(4, NOW - 2 * SECOND)._replace(outcome="info", return_ns=None))
        figures.observe(read(3, NOW))
        figures.observe(read(None, NOW)._replace(outcome="fail"))
        assert samples(exporter)["stale_reads_total register service"] == 0


def test_what_the_prober_costs_is_told_beside() -> None:
    metrics = generate_latest(registry_of(Exporter("a"))).decode()
    assert "\nprocess_cpu_seconds_total " in metrics
    assert "\nprocess_resident_memory_bytes " in metrics


def test_the_time_in_which_the_prober_stood_still_adds_up() -> None:
    exporter = Exporter("a")
    assert samples(exporter)["prober_stall_seconds_total"] == 0
    exporter.add_stall(0.75)
    exporter.add_stall(1.5)
    assert samples(exporter)["prober_stall_seconds_total"] == 2.25
