"""What `caplab watch` reads in metrics, and what it makes of counters that are read once a second."""

from __future__ import annotations

import math

import pytest
from caplab_probes import clock
from caplab_probes.exporter import BUCKETS, Exporter, registry_of
from caplab_probes.history.writer import Row
from prometheus_client import generate_latest
from support.runs.watched_lab import metrics

from caplab.watch.figures import NotMetrics, counts_of, oldest_round_seconds
from caplab.watch.traffic import LOOK_BACK_SECONDS, Traffic, quantile
from caplab.watch.values import Column, Count, Load, Route, State

WRITES = Load(
    Route(engine="postgres", namespace="lab", cluster="pg", vantage="a", route="service", access="write"), "register"
)


def counts(ok: int, info: int = 0, slow: int = 0, since: float = 0.0) -> dict[Load, Count]:
    return dict(counts_of(metrics(ok=ok, info=info, slow=slow, since=since)))


def shown(traffic: Traffic, now: float, columns: int = 8, seconds: int = 1) -> list[Column]:
    (line,) = traffic.lines(now, columns, seconds)
    return list(line.columns)


def test_operations_of_a_load_are_added_up() -> None:
    text = metrics(ok=10, info=2, since=4.0) + metrics(ok=5, op="cas", since=0.25)
    assert counts_of(text) == {WRITES: Count(17, 15, {0.001: 0, 0.01: 15, 0.1: 15, 1.0: 15, math.inf: 15}, 0.25)}


def test_loads_on_a_route_are_added_up_and_one_that_ends_is_no_outage_of_the_others() -> None:
    def counts_at(ok: int, of_set: int | None) -> dict[Load, Count]:
        # The load of register lost half of its writes before anybody looked.
        others = "" if of_set is None else metrics(ok=of_set, op="add", workload="set", since=0.25)
        return dict(counts_of(metrics(ok=ok, info=500, since=4.0) + others))

    traffic = Traffic()
    for at, ok, of_set in ((100, 500, 500), (101, 510, 530), (102, 520, 560), (103, 530, None), (104, 540, None)):
        traffic.add(at, counts_at(ok, of_set))
    (line,) = traffic.lines(104.5, 5, 1)
    assert [column.ratio for column in line.columns] == [1, 1, 1, 1, None]
    assert [traffic._slots[second][WRITES.route].ended for second in (100, 101, 102, 103)] == [40, 40, 10, 10]
    assert line.since_ack_seconds == pytest.approx(4.5)
    traffic.add(105, counts_at(550, 1))
    assert traffic.lines(105.5, 5, 1)[0].since_ack_seconds == pytest.approx(0.75)


def test_what_a_prober_really_tells_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now_ns", lambda: 3_000_000_000)
    row = Row(
        "a", 1, "write", "k", 7, None, None, None, "service", "m0", "1", 996_000_000, 0, 1_000_000_000, "ok", None
    )
    exporter = Exporter("a")
    with exporter.load("postgres", "lab", "pg", "register") as figures, figures.runs(("service",)):
        figures.observe(row)
        figures.observe(row._replace(outcome="info", return_ns=None))
        figures.observe(row._replace(op="load"))
        text = generate_latest(registry_of(exporter)).decode()
    buckets = {bound: float(bound >= 0.005) for bound in (*BUCKETS, math.inf)}
    assert counts_of(text) == {WRITES: Count(2, 1, buckets, 2.0)}


def test_reads_and_writes_are_apart() -> None:
    counts = counts_of(metrics(op="read", ok=3) + metrics(op="write", ok=4))
    assert {load.route.access: count.acked for load, count in counts.items()} == {"read": 3, "write": 4}


def test_beats_and_writes_that_replicas_refuse_are_no_load() -> None:
    text = metrics(workload="clock", ok=1) + metrics(route="any", ok=1) + metrics(route="any", op="read", ok=1)
    assert [(load.route.route, load.route.access) for load in counts_of(text)] == [("any", "read")]


def test_a_label_with_a_line_separator_is_one_line_all_the_same() -> None:
    (load,) = counts_of(metrics("a\u2028b\x85c", ok=1))
    assert load.route.vantage == "a b c"


def test_control_codes_in_labels_do_not_reach_the_terminal() -> None:
    (load,) = counts_of(metrics("a\x1b[31m", ok=1))
    assert load.route.vantage == "a [31m"


@pytest.mark.parametrize(
    "line",
    [
        'caplab_operations_total{op="write"} 3',
        metrics(ok=1).replace(" 1.0", " many"),
        metrics(ok=1).replace('le="0.01"', 'le="fast"'),
    ],
)
def test_metrics_that_cannot_be_read_are_said_to_be_so(line: str) -> None:
    with pytest.raises(NotMetrics, match="cannot be read"):
        counts_of(line)


def test_the_oldest_round_of_the_operator() -> None:
    assert oldest_round_seconds("# HELP x\ncaplab_operator_oldest_round_seconds 1.25\n") == 1.25
    for text in ("", "caplab_operator_oldest_round_seconds soon", "caplab_operator_oldest_round_seconds_x 1"):
        with pytest.raises(NotMetrics):
            oldest_round_seconds(text)


def test_an_outage_of_two_seconds_is_two_columns() -> None:
    traffic = Traffic()
    done = [(0, 0), (20, 0), (40, 0), (40, 20), (40, 40), (60, 40), (80, 40)]
    for second, (ok, info) in enumerate(done):
        traffic.add(100.2 + second, counts(ok, info))
    assert [column.ratio for column in shown(traffic, 106.6, 7)] == [1, 1, 0, 0, 1, 1, None]
    (line,) = traffic.lines(106.6, 6, 1)
    assert line.ratio == pytest.approx(2 / 3)


def test_a_column_of_several_seconds_shows_the_worst_of_them() -> None:
    traffic = Traffic()
    for second, (ok, info, slow) in enumerate([(0, 0, 0), (20, 0, 0), (35, 5, 15), (55, 5, 15), (75, 5, 15)]):
        traffic.add(100 + second, counts(ok, info, slow))
    (column,) = shown(traffic, 104.5, 1, 120)
    assert column.ratio == 0.75
    assert column.p99_seconds is not None
    assert column.p99_seconds > 0.9


def test_before_the_first_reading_nothing_is_claimed() -> None:
    traffic = Traffic()
    traffic.add(100, counts(1000, 1000))
    assert traffic.lines(100.5, 4, 1) == []
    traffic.add(101, counts(1010, 1000))
    assert [column.state for column in shown(traffic, 101.5, 3)] == [State.BEFORE, State.MEASURED, State.BEFORE]


def test_a_prober_that_falls_silent_is_unknown_and_not_what_it_was() -> None:
    traffic = Traffic()
    for second in range(4):
        traffic.add(100 + second, counts(20 * second))
    (line,) = traffic.lines(103.6, 4, 1)
    assert (line.is_known, line.ratio) == (True, 1)
    (line,) = traffic.lines(108.6, 8, 1)
    assert (line.is_known, line.ratio, line.p99_seconds, line.since_ack_seconds) == (False, None, None, None)
    states = [column.state for column in line.columns]
    assert states == [State.MEASURED] * 2 + [State.UNKNOWN] * 6
    assert line.is_troubled


def test_what_went_on_while_nobody_was_told_is_no_average() -> None:
    traffic = Traffic()
    for at, ok in ((100, 0), (101, 20), (107, 140), (108, 160)):
        traffic.add(at, counts(ok))
    states = [column.state for column in shown(traffic, 108.6, 9)]
    assert states == [State.MEASURED, *[State.UNKNOWN] * 6, State.MEASURED, State.BEFORE]


def test_readings_that_come_late_and_soon_lose_no_operation() -> None:
    traffic = Traffic()
    for at, ok, info in ((100, 0, 0), (101.0, 20, 0), (102.6, 52, 0), (103.0, 52, 8), (104.0, 72, 8)):
        traffic.add(at, counts(ok, info))
    assert [column.ratio for column in shown(traffic, 104.5, 5)] == [1, 1, 1, pytest.approx(20 / 28), None]


def test_a_prober_that_began_anew_counts_from_nothing() -> None:
    traffic = Traffic()
    for at, ok, info in ((100, 500, 9), (101, 520, 9), (102, 10, 0)):
        traffic.add(at, counts(ok, info))
    assert [column.ratio for column in shown(traffic, 102.5, 3)] == [1, 1, None]


def test_a_second_in_which_nothing_ended_is_idle() -> None:
    traffic = Traffic()
    for at in (100, 101, 102):
        traffic.add(at, counts(20, since=at - 100))
    (line,) = traffic.lines(102.5, 3, 1)
    assert [column.state for column in line.columns] == [State.IDLE, State.IDLE, State.BEFORE]
    assert line.since_ack_seconds == pytest.approx(2.5)


def test_no_more_is_remembered_than_is_shown() -> None:
    traffic = Traffic()
    for second in range(500):
        traffic.add(1000 + second, counts(second))
    assert len(traffic._slots) <= LOOK_BACK_SECONDS + 2


@pytest.mark.parametrize(
    ("buckets", "p99"),
    [
        ({}, None),
        ({0.1: 0, math.inf: 0}, None),
        ({0.1: 100, math.inf: 100}, 0.099),
        ({0.1: 0, 1.0: 100, math.inf: 100}, 0.1 + 0.9 * 0.99),
        ({0.1: 0, 1.0: 50, math.inf: 100}, 1.0),
    ],
)
def test_the_quantile_is_that_of_prometheus(buckets: dict[float, float], p99: float | None) -> None:
    assert quantile(buckets, 0.99) == pytest.approx(p99)
