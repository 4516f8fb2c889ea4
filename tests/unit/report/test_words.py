from __future__ import annotations

import pytest

from caplab.check import PROPERTIES, State
from caplab.model.runs import WallAnchor
from caplab.report import words


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1, "100 %"),
        (0, "0 %"),
        (0.994, "99.4 %"),
        (0.99999, "99.9 %"),
        (0.99, "99 %"),
        (0.12, "12 %"),
        (0.129, "12 %"),
        (0.29, "29 %"),
        (0.014, "1.4 %"),
        (0.00001, "< 0.1 %"),
    ],
)
def test_a_ratio_is_never_all_or_nothing_unless_it_is(share: float, text: str) -> None:
    assert words.ratio(share) == text


@pytest.mark.parametrize(
    ("value", "text"), [(2.0341, "2.034 s"), (0, "0.000 s"), (99.9, "99.900 s"), (100, "100.0 s"), (4321, "4,321.0 s")]
)
def test_seconds_have_milliseconds_below_a_hundred(value: float, text: str) -> None:
    assert words.seconds(value) == text
    assert words.seconds(value, at_least=True) == f"≥ {text}"


def test_a_figure_names_its_side_and_its_route_as_people_say_it() -> None:
    assert words.of_figure("failoverTime", "majority", "service") == "failover time, on the majority, via service"
    assert words.of_figure("lost", "minority", "direct") == "acked writes lost, on the minority, direct"
    assert words.of_figure("stale", None, "replica") == "stale reads, via replica"
    assert words.of_figure("writeOutage", None, "any") == "outage of writes, via any member"
    assert words.of_figure("lost", None, None) == "acked writes lost"


def test_no_case_in_n_bounds_the_rate_and_a_case_is_only_counted() -> None:
    assert words.of_writes(0, 10_445) == "0 of 10,445 (< 3/n = 0.029 % at 95 %)"
    assert words.of_writes(0, 30) == "0 of 30 (< 3/n = 10 % at 95 %)"
    assert words.of_writes(0, 10_000_000) == "0 of 10,000,000 (< 3/n = 0.000030 % at 95 %)"
    assert words.of_writes(2, 10_445) == "2 of 10,445"
    assert words.of_writes(0, 3) == "0 of 3"


def test_latencies_have_tenths_of_a_millisecond_below_ten() -> None:
    assert words.milliseconds([0.00212, 0.0144]) == "2.1 / 14 ms"
    assert words.milliseconds([1.5, 12.3456]) == "1,500 / 12,346 ms"


def test_a_moment_is_printed_by_the_wall_anchor() -> None:
    anchor = WallAnchor(5_000_000_000, 1_700_000_000_000_000_000)
    assert words.wall_time(6_234_567_890, anchor) == "2023-11-14 22:13:21.234 UTC"
    assert words.wall_time(4_999_000_000, anchor) == "2023-11-14 22:13:19.999 UTC"


def test_without_a_primary_there_is_no_failover_to_speak_of() -> None:
    assert words.of_property("failoverTime") == "failover time"
    assert words.of_property("failoverTime", has_primary=False) == "outage time"
    assert words.of_property("lost", has_primary=False) == words.of_property("lost")


def test_every_property_and_verdict_has_its_word() -> None:
    assert all(" " in words.of_property(name) or name in ("failovers", "outages") for name in PROPERTIES)
    assert words.of_property("somethingNew") == "somethingNew"
    assert [words.of_verdict(state) for state in State] == ["AS PROMISED", "PROMISE BROKEN", "NOT PROVEN"]


def test_a_long_text_is_cut_after_a_whole_word() -> None:
    assert words.cut("a primary is killed", 19) == "a primary is killed"
    assert words.cut("a primary is killed", 18) == "a primary is..."
    assert words.cut("a primary is killed", 15) == "a primary is..."
    assert words.cut("x" * 30, 10) == "xxxxxxx..."


def test_seconds_of_a_headline_have_about_three_digits() -> None:
    assert [words.short_seconds(value) for value in (0.0, 0.322, 9.994, 9.996, 22.16, 1234.5)] == [
        "0.00 s",
        "0.32 s",
        "9.99 s",
        "10.0 s",
        "22.2 s",
        "1,234.5 s",
    ]


@pytest.mark.parametrize(
    ("engine", "epoch", "text"),
    [
        ("postgres", "5", "commit on timeline 5"),
        ("postgres", "", "commit on a new timeline"),
        ("redis", "0a3b44f1" * 5, "write under replication id 0a3b44f1"),
        ("redis", "", "write under a new replication id"),
        ("cassandra", "7", "commit in epoch 7"),
    ],
)
def test_an_epoch_has_its_engines_word_and_is_short(engine: str, epoch: str, text: str) -> None:
    assert words.stamped(engine, epoch) == text


def test_what_comes_from_outside_draws_nothing_on_the_terminal() -> None:
    assert words.one_line("a\nb\x1b[31m\tc  d") == "a b [31m c d"
