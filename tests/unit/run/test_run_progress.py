"""How long a suite still takes, from what runs took before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.runs.fake_runs import journal

from caplab.files import results
from caplab.report.progress import RunAhead, RunDuration, announcement, estimate, rounded, time_left
from caplab.run import plans
from caplab.run.plans import Machine, PlannedRun, SuitePlan
from caplab.run.timings import earlier_runs, seconds_of

KILL = "postgres/kill-primary"
ASYNC, QUORUM = {"durability": "async"}, {"durability": "quorum"}


@pytest.mark.parametrize(
    ("before", "seconds"),
    [
        ([RunDuration(KILL, ASYNC, 10), RunDuration(KILL, QUORUM, 20), RunDuration("postgres/control", ASYNC, 30)], 10),
        ([RunDuration(KILL, QUORUM, 20), RunDuration("postgres/control", ASYNC, 30)], 20),
        ([RunDuration(KILL, None, 20), RunDuration("postgres/control", ASYNC, 30)], 20),
        ([RunDuration("redis/control", ASYNC, 5), RunDuration("postgres/control", ASYNC, 30)], 30),
        ([RunDuration("redis/kill-primary", ASYNC, 5)], None),
        ([], None),
        # Of many the newest five count, and of these the one in the midst.
        ([RunDuration(KILL, ASYNC, seconds) for seconds in (1, 1, 1, 1, 1, 1, 50, 60, 70, 80, 900)], 70),
    ],
)
def test_a_run_takes_as_long_as_the_most_alike_before(before: list[RunDuration], seconds: float | None) -> None:
    assert estimate(RunAhead(KILL, ASYNC), before) == seconds


def test_experiments_of_no_engine_have_nothing_to_do_with_each_other() -> None:
    assert estimate(RunAhead("mine", {}), [RunDuration("yours", {}, 5)]) is None


def test_what_is_not_known_of_the_time_left_is_said() -> None:
    before = [RunDuration(KILL, ASYNC, 400)]
    kill, other = RunAhead(KILL, ASYNC), RunAhead("redis/control", {})
    assert time_left([kill, kill], before) == "about 13 min left"
    assert time_left([kill, other], before) == "at least 7 min left, and 1 of 2 runs without an estimate"
    assert time_left([other], before) == "time left unknown: nothing similar was run before"


def test_estimates_are_no_more_precise_than_they_can_be() -> None:
    shown = [rounded(seconds) for seconds in (0.2, 38, 119, 120, 850, 7199, 7200, 7860)]
    assert shown == ["10 s", "40 s", "120 s", "2 min", "14 min", "120 min", "2 h 00 min", "2 h 11 min"]


def test_a_name_from_a_file_does_not_draw_on_the_terminal() -> None:
    assert announcement(4, 17, "a\x1b[2J\nb", "about 14 min left") == "[4/17] a [2J b   about 14 min left"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (journal(), 60.0),
        ({"caplab": {"verdict": "valid"}, "duration": 31.5}, 31.5),
        (journal(error="no prober"), None),
        ({"duration": 31.5}, None),
        ({"caplab": {"verdict": "valid", "seconds": {"cluster": "?"}}}, None),
        ({"caplab": {"verdict": "valid"}}, None),
    ],
)
def test_only_a_run_that_was_judged_tells_how_long_one_takes(written: dict[str, Any], seconds: float | None) -> None:
    assert seconds_of(written) == seconds


def test_earlier_suites_tell_their_settings_by_their_plan_and_their_experiments_by_their_folders(
    tmp_path: Path,
) -> None:
    old, new = tmp_path / "20260101-000000-core", tmp_path / "20260102-000000-core"
    for folder in (old / "01-postgres-kill-primary", new / "01-postgres-kill-primary", new / "02-mine"):
        results.write_journal(folder, journal())
    results.write_journal(new / "01-postgres-kill-primary.aside-1", journal())
    (new / "03-postgres-kill-primary").mkdir()
    (new / "04-postgres-kill-primary").mkdir()
    (new / "04-postgres-kill-primary" / "journal.json").write_text("[")
    (tmp_path / "a file").write_text("")
    plans.write(
        new,
        SuitePlan(
            suite="core",
            name="core",
            settings={},
            repeat=1,
            machine=Machine(cores=2, memory_bytes=3, load=0.5),
            runs=(PlannedRun(number=1, experiment=KILL, settings=QUORUM, repeat=1, digest="d"),),
        ),
    )
    assert earlier_runs(tmp_path, [KILL]) == [
        RunDuration(KILL, None, 60),
        RunDuration(KILL, QUORUM, 60),
        RunDuration("mine", None, 60),
    ]
    assert earlier_runs(tmp_path / "none", [KILL]) == []
