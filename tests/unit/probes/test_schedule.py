from __future__ import annotations

from caplab_probes.load.schedule import SECOND_NS, Schedule, due, of_seconds, phase_ns

START_NS = SECOND_NS // 4


def test_operation_i_is_due_at_the_anchor_plus_i_over_the_rate() -> None:
    schedule = Schedule(anchor_ns=1000, rate=200)
    assert [schedule.due_ns(index) for index in (0, 1, 200)] == [1000, 5_001_000, SECOND_NS + 1000]


def test_rounding_does_not_add_up() -> None:
    schedule = Schedule(anchor_ns=0, rate=3)
    assert schedule.due_ns(3_000_000) == 1_000_000 * SECOND_NS


def test_nothing_is_due_before_its_time() -> None:
    schedule = Schedule(anchor_ns=1000, rate=10)
    assert due(schedule, 0, 999, START_NS) == []
    assert [due_operation.index for due_operation in due(schedule, 0, 1000, START_NS)] == [0]
    assert due(schedule, 1, 1000, START_NS) == []


def test_after_a_stall_what_is_too_late_is_an_overload_and_the_rest_is_started() -> None:
    ready = due(Schedule(anchor_ns=0, rate=10), 0, SECOND_NS, START_NS)
    assert [due_operation.index for due_operation in ready] == list(range(11))
    assert [due_operation.index for due_operation in ready if not due_operation.overload] == [8, 9, 10]


def test_a_schedule_of_some_seconds_ends() -> None:
    schedule = of_seconds(0, rate=10, seconds=2)
    assert len(due(schedule, 0, 60 * SECOND_NS, START_NS)) == 20
    assert not of_seconds(0, rate=10, seconds=None).over(10**9)


def test_vantages_that_start_together_do_not_beat_together() -> None:
    phases = {phase_ns(seed=7, vantage=vantage, rate=10) for vantage in range(3)}
    assert len(phases) == 3
    assert all(0 <= phase < SECOND_NS // 10 for phase in phases)
    assert phases == {phase_ns(seed=7, vantage=vantage, rate=10) for vantage in range(3)}
