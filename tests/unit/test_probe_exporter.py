from __future__ import annotations

from pathlib import Path

import pytest
from caplab_probes import clock
from caplab_probes.exporter import LABELS as LABEL_NAMES
from caplab_probes.exporter import Exporter, registry_of
from caplab_probes.writer import Row
from prometheus_client import CollectorRegistry, generate_latest

DOCS = Path(__file__).parents[2] / "docs" / "probes.md"
NOW = 1_000_000_000_000
ACKED = Row("a", 1, "add", "k", 7, None, None, None, "service", "m0", "1", NOW - 4_000_000, NOW, NOW, "ok", None)
LABELS = '{op="add",route="service",vantage="a",workload="set"}'


@pytest.fixture(autouse=True)
def _still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now_ns", lambda: NOW + 2_000_000_000)


def text(exporter: Exporter) -> str:
    registry = CollectorRegistry()
    registry.register(exporter)
    return generate_latest(registry).decode()


def test_age_ratio_latency_and_counts_are_told() -> None:
    exporter = Exporter()
    exporter.observe(ACKED, "set")
    exporter.observe(ACKED._replace(outcome="info", return_ns=None), "set")
    told = text(exporter)
    assert f"caplab_probe_last_ack_age_seconds{LABELS} 2.0" in told
    assert f"caplab_probe_ack_ratio{LABELS} 0.5" in told
    assert (
        'caplab_probe_latency_seconds_bucket{le="0.0025",op="add",route="service",vantage="a",workload="set"} 0.0'
        in told
    )
    assert (
        'caplab_probe_latency_seconds_bucket{le="0.005",op="add",route="service",vantage="a",workload="set"} 1.0'
        in told
    )
    assert f"caplab_probe_latency_seconds_sum{LABELS} 0.004" in told
    assert 'outcome="info"' in told


def test_neither_keys_nor_runs_are_labels() -> None:
    exporter = Exporter()
    exporter.observe(ACKED, "set")
    assert '"k"' not in text(exporter)


def test_the_age_counts_from_the_first_operation_until_there_is_an_ack() -> None:
    exporter = Exporter()
    exporter.observe(ACKED._replace(outcome="fail"), "set")
    assert f"caplab_probe_last_ack_age_seconds{LABELS} 2.004" in text(exporter)


def test_a_ratio_looks_back_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = Exporter()
    for second in range(30):
        monkeypatch.setattr(clock, "now_ns", lambda second=second: NOW + second * 1_000_000_000)
        exporter.observe(ACKED._replace(outcome="ok" if second > 19 else "fail"), "set")
    assert f"caplab_probe_ack_ratio{LABELS} 1.0" in text(exporter)
    monkeypatch.setattr(clock, "now_ns", lambda: NOW + 60_000_000_000)
    assert f"caplab_probe_ack_ratio{LABELS}" not in text(exporter)


def test_the_series_of_an_ended_workload_go() -> None:
    exporter = Exporter()
    exporter.observe(ACKED, "set")
    exporter.observe(ACKED, "register")
    exporter.forget("set")
    assert 'workload="set"' not in text(exporter)
    assert 'workload="register"' in text(exporter)


def test_what_the_prober_costs_is_told_beside() -> None:
    told = generate_latest(registry_of(Exporter())).decode()
    assert "\nprocess_cpu_seconds_total " in told
    assert "\nprocess_resident_memory_bytes " in told


def test_names_and_labels_are_those_of_the_docs() -> None:
    exporter = Exporter()
    exporter.observe(ACKED, "set")
    written = DOCS.read_text()
    for family in registry_of(exporter).collect():
        names = {sample.name for sample in family.samples if not sample.name.endswith(("_created", "_sum", "_count"))}
        assert all(f"`{name}`" in written for name in names), names
        labels = {label for sample in family.samples for label in sample.labels}
        assert labels in (set(), {*LABEL_NAMES}, {*LABEL_NAMES, "outcome"}, {*LABEL_NAMES, "le"})


def test_the_time_in_which_the_prober_stood_still_adds_up() -> None:
    exporter = Exporter()
    assert "caplab_prober_standstill_seconds_total 0.0" in text(exporter)
    exporter.stood_still(0.75)
    exporter.stood_still(1.5)
    assert "caplab_prober_standstill_seconds_total 2.25" in text(exporter)
