"""What a cache's readers and its database went through, on histories written by hand."""

from __future__ import annotations

from typing import Any, cast

import pytest
from support.checkers.cache_histories import LOAD_MS, QUIET_MS, loads, reads
from support.checkers.histories import at, history, kill

from caplab.check import Context, Finding, State
from caplab.check.cache import applies, check

FAULT = Context(fault_windows=(kill(10_000, 20_000),))


def finding_of(*rows: list[Any], context: Context = FAULT) -> Finding:
    return check(history([row for some in rows for row in some]), context)


def phases(finding: Finding) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", finding.figures["phases"])


def test_a_fault_that_nobody_feels_leaves_the_readers_in_the_steady_state() -> None:
    finding = finding_of(reads(0, 40), loads(0, 40, 1))
    assert finding.state is State.HOLDS
    figures = finding.figures
    assert (figures["calm_seconds"], figures["metastable"]) == (0, 0)
    assert figures["read_p99_ratio"] == pytest.approx(1)
    assert figures["peak_to_mean"] == pytest.approx(1)
    assert [phase["loads_per_second"] for phase in phases(finding)] == pytest.approx([1, 1, 1], rel=0.01)


def test_reads_that_wait_for_loads_show_in_the_ratio_and_until_when_there_was_no_steady_state() -> None:
    finding = finding_of(reads(0, 10), reads(10, 13, LOAD_MS), reads(13, 40), loads(0, 40, 1))
    assert finding.figures["read_p99_ratio"] == pytest.approx(LOAD_MS / QUIET_MS)
    assert finding.figures["calm_seconds"] == 3
    assert finding.figures["lower_bounds"] == []
    assert finding.state is State.HOLDS


def test_what_was_not_acked_is_slower_than_anything() -> None:
    # Also what failed at once: it had no answer 30 s later.
    finding = finding_of(reads(0, 10), reads(10, 20, 1, "fail"), reads(20, 40), loads(0, 40, 1))
    assert finding.figures["calm_seconds"] == 10
    assert finding.figures["read_p99_ratio"] == pytest.approx(29_990 / QUIET_MS)
    assert finding.figures["lower_bounds"] == ["read_p99_ratio"]
    _, during, _ = phases(finding)
    assert (during["acked_share"], during["p99_seconds"]) == (0, pytest.approx(29.99))
    assert during["lower_bounds"] == ["p50_seconds", "p99_seconds"]


@pytest.mark.parametrize(("failed_of_1000", "at_least"), [(10, False), (11, True)])
def test_a_quantile_is_known_as_long_as_it_is_that_of_a_read_that_was_acked(
    failed_of_1000: int, at_least: bool
) -> None:
    failed = reads(10, 10 + failed_of_1000 / 100, 1000, "fail")
    finding = finding_of(reads(0, 10), failed, reads(10 + failed_of_1000 / 100, 40), loads(0, 40, 1))
    assert (finding.figures["lower_bounds"] == ["read_p99_ratio"]) == at_least
    assert (finding.figures["read_p99_ratio"] == pytest.approx(1)) == (not at_least)


def test_a_fault_is_not_set_beside_a_quiet_time_that_was_none() -> None:
    finding = finding_of(reads(0, 9), reads(9, 10, 1000, "fail"), reads(10, 40), loads(0, 40, 1))
    assert finding.figures["read_p99_ratio"] is None


def test_what_lasts_when_the_fault_is_gone_is_metastable_and_the_load_that_sustains_it_is_told() -> None:
    finding = finding_of(
        reads(0, 10), reads(10, 40, 950, "fail"), loads(0, 10, 1), loads(10, 20, 50), loads(20, 40, 100, "fail")
    )
    assert finding.state is State.VIOLATED
    figures = finding.figures
    assert figures["metastable"] == 1
    assert figures["sustaining_loads_per_second"] == pytest.approx(100, rel=0.02)
    assert figures["sustaining_wasted_share"] == 1
    assert figures["lower_bounds"] == ["calm_seconds", "read_p99_ratio"]
    assert "100 loads a second, 100 % of which came too late, sustain it" in finding.reason


@pytest.mark.parametrize(("since_s", "metastable"), [(36, 0), (34, 1)])
def test_an_end_without_steady_state_that_is_short_is_not_taken_for_one_that_does_not_end(
    since_s: float, metastable: int
) -> None:
    finding = finding_of(reads(0, since_s), reads(since_s, 40, 950, "fail"), loads(0, 40, 1))
    assert finding.figures["metastable"] == metastable
    # The fault itself was not felt; what does not end is no steady state all the same.
    assert finding.figures["calm_seconds"] == (29.5 if metastable else 0)
    assert finding.figures["lower_bounds"] == ["calm_seconds"] * metastable


def test_what_expires_in_its_own_time_later_on_is_not_the_faults_doing() -> None:
    felt = [reads(10, 11, LOAD_MS), reads(11, 24), reads(24, 25, LOAD_MS), reads(25, 40)]
    assert finding_of(reads(0, 10), *felt, loads(0, 40, 1)).figures["calm_seconds"] == 1


@pytest.mark.parametrize(("pause_s", "recovery_s"), [(2.5, 4.5), (3, 1)])
def test_a_steady_state_is_one_of_three_seconds(pause_s: float, recovery_s: float) -> None:
    again_s = 11 + pause_s
    felt = [reads(10, 11, LOAD_MS), reads(11, again_s), reads(again_s, again_s + 1, LOAD_MS), reads(again_s + 1, 40)]
    assert finding_of(reads(0, 10), *felt, loads(0, 40, 1)).figures["calm_seconds"] == recovery_s


def test_without_a_steady_state_to_the_end_it_is_not_known_when_it_comes() -> None:
    finding = finding_of(reads(0, 10), reads(10, 21, LOAD_MS), reads(21, 23), loads(0, 23, 1))
    assert (finding.figures["calm_seconds"], finding.figures["lower_bounds"]) == (12.5, ["calm_seconds"])


def test_a_steady_state_in_between_is_an_end() -> None:
    finding = finding_of(
        reads(0, 10), reads(10, 37, 950, "fail"), reads(37, 38), reads(38, 40, 950, "fail"), loads(0, 40, 1)
    )
    assert finding.figures["metastable"] == 0


def test_the_peak_of_loads_is_that_after_the_fault() -> None:
    spread = finding_of(reads(0, 40), loads(10, 20, 200), loads(20, 40, 10))
    assert spread.figures["peak_to_mean"] == pytest.approx(1, rel=0.01)
    at_once = finding_of(reads(0, 40), loads(25, 26, 200))
    assert at_once.figures["peak_to_mean"] == 19  # whole seconds
    none = finding_of(reads(0, 40), loads(5, 6, 200))
    assert none.figures["peak_to_mean"] is None


def test_without_a_fault_all_is_before_and_without_loads_or_reads_nothing_is_known() -> None:
    alone = finding_of(reads(0, 10), loads(0, 10, 1), context=Context())
    assert alone.state is State.HOLDS
    assert [phase["phase"] for phase in phases(alone)] == ["before"]
    assert finding_of(reads(0, 10)).state is State.UNKNOWN
    assert finding_of(reads(0, 0.1), loads(0, 1, 1)).state is State.UNKNOWN
    assert applies(history(reads(0, 1)))
    assert not applies(history(loads(0, 1, 1)))


def test_an_empty_cache_at_the_beginning_is_left_out() -> None:
    context = Context(fault_windows=FAULT.fault_windows, steady_ns=at(5000))
    finding = finding_of(reads(0, 5, 500), reads(5, 40), loads(0, 5, 100), loads(5, 40, 1), context=context)
    assert finding.figures["loads"] == 35
    assert finding.figures["read_p99_ratio"] == pytest.approx(1)
