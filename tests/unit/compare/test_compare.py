"""`caplab compare`: what is read, what is said first, what is printed, and the exit code."""

from __future__ import annotations

import errno
import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from support.runs.suite_results import MACHINE, ROW, measured, run, series, write

from caplab.cli import main
from caplab.command_error import CommandError
from caplab.compare.choosing import choose
from caplab.compare.reading import read
from caplab.contract.names import COMPARE_SCHEMA, PREFIX
from caplab.files import results

FAILOVERS = [20.1, 20.6, 20.2, 20.4, 20.7, 20.8, 21.0, 20.3, 20.5, 20.65]


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def compared(base: Path, new: Path, *options: str) -> int:
    return main(["compare", str(base), str(new), *options])


def as_json(base: Path, new: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    compared(base, new, "--format", "json", *options)
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """20 runs in two suites."""
    write(tmp_path / "base" / "one", series("failoverTime", FAILOVERS))
    write(tmp_path / "base" / "two", series("failoverTime", [value + 0.03 for value in FAILOVERS], 10))
    return tmp_path / "base"


def new(tmp_path: Path, runs: Sequence[Mapping[str, Any]], **fields: Any) -> Path:
    return write(tmp_path / "new", runs, **fields)


def slower(factor: float = 1.3) -> list[dict[str, Any]]:
    return series("failoverTime", [factor * value for value in FAILOVERS], 100)


def test_a_figure_that_got_worse_is_said_first_and_ends_with_1(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(base, new(tmp_path, slower())) == 1
    printed = lines(capsys)
    assert printed[0].startswith("10 runs of ")
    assert "(10 as promised · 0 promise broken · 0 not proven) beside 20 of " in " ".join(printed[:3])
    alarm = next(line for line in printed if line.startswith("- REGRESSED"))
    assert alarm.startswith(f"- REGRESSED: {ROW}, failover time: +6.1")
    assert alarm.endswith("p < 0.0001")
    row = next(line for line in printed if line.startswith(ROW))
    assert "20, 10" in row
    assert "20.565 s ± 0.200 s" in row
    assert "REGRESSED" in row
    assert any("the chance of any false alarm in the whole table is at most 1 %" in line for line in printed)


@pytest.mark.parametrize(
    ("runs", "code", "result"),
    [
        (slower(0.7), 0, "improved"),
        (slower(1.001), 0, "same"),
        (slower()[:1], 2, "too few runs"),  # one run among 21 is as rare as 1 in 21 at best
    ],
)
def test_what_is_no_regression_does_not_end_with_1(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str], runs: Any, code: int, result: str
) -> None:
    assert compared(base, new(tmp_path, runs), "--format", "json") == code
    (figure,) = json.loads(capsys.readouterr().out)["figures"]
    assert figure["result"] == result


def test_how_many_runs_would_do_is_said(tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compared(base, new(tmp_path, slower()[:1]))
    assert "Too few runs for that: 1 figure; 2 new runs of each row would be enough." in lines(capsys)
    assert as_json(base, new(tmp_path, slower()[:2]), capsys)["figures"][0]["result"] == "regressed"


def test_a_change_that_is_certain_but_small_is_none_unless_asked_for(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = new(tmp_path, slower(1.045))
    (figure,) = as_json(base, suite, capsys)["figures"]
    assert figure["p"] < 0.01
    assert figure["result"] == "same"
    assert as_json(base, suite, capsys, "--min-change", "2%")["figures"][0]["result"] == "regressed"


def test_one_lost_write_where_none_may_be_ends_with_1_whatever_the_statistics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = write(tmp_path / "base", series("lost", [0] * 20, promise="forbidden"))
    assert compared(before, new(tmp_path, series("lost", [0] * 9 + [1], 100, "forbidden"))) == 1
    printed = lines(capsys)
    assert f"- VIOLATED: {ROW}, acked writes lost in 1 of 10 runs; 0 of 20 before" in printed
    assert any(line.endswith("same, VIOLATED") for line in printed)


def test_one_lost_write_that_is_permitted_is_told_and_ends_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = write(tmp_path / "base", series("lost", [0] * 20, promise="bounded"))
    assert compared(before, new(tmp_path, series("lost", [0] * 9 + [1], 100, "bounded"))) == 0
    line = next(line for line in lines(capsys) if "first seen" in line)
    assert "acked writes lost: up to 1 in 1 of 10 runs, none in 20 before" in line


def test_one_lost_write_more_in_every_run_is_a_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = write(tmp_path / "base", series("lost", [0, 1, 0, 0, 2] * 4, promise="bounded"))
    suite = new(tmp_path, series("lost", [1, 2, 1, 1, 3] * 2, 100, "bounded"))
    (figure,) = as_json(before, suite, capsys)["figures"]
    assert (figure["result"], figure["change"]["estimate"]) == ("regressed", 1.0)


def test_more_of_what_is_neither_good_nor_bad_is_a_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = write(tmp_path / "base", series("unackedFound", [3, 4, 5, 6] * 5))
    suite = new(tmp_path, series("unackedFound", [33, 34, 35] * 3, 100))
    assert compared(before, suite) == 0
    assert any("changed (p < 0.0001)" in line for line in lines(capsys))


def test_how_long_a_cut_off_side_serves_is_judged_only_where_its_row_bounds_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = write(tmp_path / "base", series("writesServed", [2.0, 2.1, 2.2, 2.3] * 5, promise="bounded"))
    suite = new(tmp_path, series("writesServed", [3.0, 3.1, 3.2] * 3, 100, "bounded"))
    assert as_json(before, suite, capsys)["figures"][0]["result"] == "regressed"
    free = write(tmp_path / "free", series("writesServed", [3.0, 3.1, 3.2] * 3, 100, "must-show"))
    assert as_json(before, free, capsys)["figures"][0]["result"] == "changed"


def test_an_invalid_run_ends_with_1_even_where_nothing_before_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "base").mkdir()
    assert compared(tmp_path / "base", new(tmp_path, series("lost", [1], promise="forbidden"))) == 1
    printed = lines(capsys)
    assert f"- VIOLATED: {ROW}, acked writes lost in 1 run" in printed
    assert f"No run before: {ROW}." in printed


def test_a_folder_held_against_itself_says_what_to_ask_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = new(tmp_path, series("failoverTime", [1.0, 2.0]))
    assert compared(suite, suite) == 2
    assert "Every run is among those to judge. Hint: judge the newest of each row only" in " ".join(lines(capsys))
    assert compared(suite, suite, "--newest", "1") == 2
    assert "Hint" not in " ".join(lines(capsys))


def test_a_first_night_has_nothing_to_compare_with_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "base").mkdir()
    assert compared(tmp_path / "base", new(tmp_path, series("lost", [0]))) == 2
    assert "no common figure" in " ".join(lines(capsys))


def test_runs_that_prove_nothing_are_left_out_and_make_it_unknown(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doubt: dict[str, Any] = {
        "verdict": "unknown",
        "reasons": ["There is no evidence of the fault: no kill is on record."],
    }
    runs = [*slower(1.0), run(500, measured("failoverTime", 90.0), **doubt)]
    assert compared(base, new(tmp_path, runs)) == 2
    text = " ".join(lines(capsys))
    assert "(10 as promised · 0 promise broken · 1 not proven)" in text
    assert "Not counted, since they prove nothing, as their verdicts say: 1 run." in text
    assert "20, 10" in text


def test_what_the_lab_could_not_make_is_said_and_makes_it_unknown(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = new(tmp_path, slower(1.0), failures=["redis/control: no\x1b prober"])
    assert compared(base, suite) == 2
    assert "- not made: redis/control: no prober" in lines(capsys)


def test_a_figure_that_was_not_measured_or_is_not_believed_is_not_counted(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unmeasured = [run(300 + n, measured("failoverTime", None)) for n in range(2)]
    unbelieved = [run(400 + n, measured("failoverTime", 99.0, state="unknown")) for n in range(2)]
    endless = [run(500, measured("failoverTime", float("nan")))]
    document = as_json(base, new(tmp_path, [*slower(1.0), *unmeasured, *unbelieved, *endless]), capsys)
    assert document["figures"][0]["new"]["n"] == 10
    assert document["figures"][0]["new"]["max"] < 22


def test_what_is_only_at_least_so_much_speaks_for_neither_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def open_ended(values: Sequence[float], begin: int) -> list[dict[str, Any]]:
        return [run(begin + n, measured("failoverTime", value, at_least=True)) for n, value in enumerate(values)]

    before = write(tmp_path / "base", open_ended([10.0 + n / 10 for n in range(20)], 0))
    suite = new(tmp_path, series("failoverTime", [15.0 + n / 10 for n in range(10)], 100))
    assert as_json(before, suite, capsys)["figures"][0]["result"] == "same"  # those before may have been as long
    worse = write(tmp_path / "worse", open_ended([15.0 + n / 10 for n in range(10)], 100))
    bounded = write(tmp_path / "known", series("failoverTime", [10.0 + n / 10 for n in range(20)]))
    assert as_json(bounded, worse, capsys)["figures"][0]["result"] == "regressed"
    compared(bounded, worse)
    assert "≥ 15.450 s" in " ".join(lines(capsys))


# What is said first.


def test_a_changed_version_image_setting_or_promise_is_said_before_any_figure(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget: dict[str, Any] = {"promise": "bounded", "budget": "ttl + 9s", "limit": 39.0}
    runs = [
        run(
            100 + number,
            measured("failoverTime", value, **budget),
            versions={"postgres": "18.0"},
            images={"postgres": "p@sha256:2"},
            settings={"ttlSeconds": 30, "walSenderTimeoutMilliseconds": 3000},
            specs={"loads": [{"name": "set", "rate": 120.0}]},
        )
        for number, value in enumerate(FAILOVERS)
    ]
    compared(base, new(tmp_path, runs))
    printed = lines(capsys)
    first = printed[: next(number for number, line in enumerate(printed) if line.startswith("every figure"))]
    assert [line for line in first if line.startswith("- ")] == [
        "- version of postgres: 17.12, now 18.0",
        "- image of postgres: sha256:1, now sha256:2",
        f"- setting specs.loads[0].rate: 60.0, now 120.0 ({ROW})",
        f"- setting ttlSeconds: 20, now 30 ({ROW})",
        f"- setting walSenderTimeoutMilliseconds: not set, now 3000 ({ROW})",
        f"- promise of failoverTime: possible, now bounded ttl + 9s ({ROW})",
    ]


def test_another_machine_or_a_busier_one_is_said(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = {**MACHINE, "cores": 4, "cpu": "Other", "load": 12.5, "memory_bytes": MACHINE["memory_bytes"] + 9}
    compared(base, new(tmp_path, slower(1.0), machine=machine))
    printed = [line for line in lines(capsys) if line.startswith("- ")]
    assert printed == [
        "- machine's cores: 2, now 4",
        "- machine's cpu: One, now Other",
        "- machine's load at the beginning: 1.5 to 1.5, now 12.5 to 12.5",
    ]


def test_a_baseline_of_two_versions_is_said_and_equal_ones_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = [{**run, "versions": {"postgres": "16.0"}} for run in series("failoverTime", FAILOVERS)]
    before = write(tmp_path / "base", [*old[:6], *series("failoverTime", FAILOVERS[:4], 10)])
    compared(before, new(tmp_path, slower(1.0)))
    assert "- version of postgres: 16.0 (6 runs), 17.12 (4 runs), now 17.12" in lines(capsys)


def test_who_stands_by_and_how_long_an_event_took_are_no_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def of(begin: int, standby: str, took: float) -> list[dict[str, Any]]:
        settings = {"synchronousStandbyNames": f'ANY 1 ("{standby}")', "faultSeconds": took}
        return [{**run, "settings": settings} for run in series("failoverTime", FAILOVERS, begin)]

    before = write(tmp_path / "base", of(0, "pg-1", 3.217))
    assert as_json(before, new(tmp_path, of(100, "pg-2", 4.5)), capsys)["differences"] == []
    both = write(tmp_path / "both", of(100, 'pg-1","pg-2', 4.5))  # Patroni lists those that stand by at the moment
    assert as_json(before, both, capsys)["differences"] == []
    two = [{**run, "settings": {"synchronousStandbyNames": 'ANY 2 ("pg-1","pg-2")'}} for run in of(100, "", 4.5)]
    assert as_json(before, write(tmp_path / "two", two), capsys)["differences"] != []
    longer = write(tmp_path / "longer", of(100, "pg-2", 60))
    assert as_json(before, longer, capsys)["differences"] != []  # that is a choice


def test_results_of_an_older_lab_are_compared_and_it_is_said_what_they_did_not_keep(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = ("run", "name", "verdict", "row", "reasons", "properties")
    runs = [{name: run[name] for name in kept} for run in slower()]
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "verdict.json").write_text(json.dumps({"verdict": "valid", "suite": "core", "runs": runs}))
    assert compared(base, folder) == 1
    assert any("10 runs of" in line and "did not record versions" in line for line in lines(capsys))


# What is read.


def test_a_folder_of_many_a_suite_and_a_file_are_read_alike(tmp_path: Path, base: Path) -> None:
    assert len(read(base).runs) == 20
    assert len(read(base / "one").runs) == 10
    assert len(read(base / "one" / results.VERDICT).runs) == 10
    deep = write(tmp_path / "deep" / "artifact" / "results" / "20261101-000000-core", series("lost", [0]))
    assert len(read(tmp_path / "deep").runs) == 1
    (deep / "01-run").mkdir()
    (deep / "01-run" / results.VERDICT).write_text("never looked at")
    assert read(tmp_path / "deep").unread == ()


def test_a_run_that_is_there_twice_counts_once_and_runs_are_in_order(tmp_path: Path, base: Path) -> None:
    write(base / "copy", series("failoverTime", FAILOVERS))
    runs = read(base).runs
    assert len(runs) == 20
    assert [run.began for run in runs] == sorted(run.began for run in runs)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[]", "expected an object"),
        (f'{{"schema": "{PREFIX}verdict/v9"}}'.encode(), f"{PREFIX}verdict/v9 is an unsupported version"),
        (b'{"runs": 3, "verdict": "valid"}', "field 'runs' must be a list"),
        (b'{"runs": [{"run": "x"}], "verdict": "valid"}', "field 'row' is missing"),
        (b'{"runs": [{"run": "x", "row": "r"}], "verdict": "valid"}', "not known when the run began"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_costs_no_other(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str], content: bytes, says: str
) -> None:
    (base / "bad").mkdir()
    (base / "bad" / results.VERDICT).write_bytes(content)
    assert compared(base, new(tmp_path, slower(1.0))) == 0
    (line,) = (sentence for sentence in capsys.readouterr().out.splitlines() if sentence.startswith("- not read"))
    base_results = read(base)
    assert len(base_results.runs) == 20
    assert says in base_results.unread[0]
    assert str(base / "bad") in base_results.unread[0]
    assert line


@pytest.mark.parametrize("value", [-1.0, 1e308, 10**400, "1e400x"])
def test_a_figure_that_none_can_be_costs_its_own_suite_only(tmp_path: Path, base: Path, value: Any) -> None:
    """Unread, it would end `caplab trend` and make the comparison count with what is no number."""
    write(base / "bad", [run(50, measured("failoverTime", 1.0) | {"measured": value})])
    (unread,) = read(base).unread
    assert "'measured' must be a number" in unread
    assert main(["trend", str(base), "--output", str(tmp_path / "trend.html")]) == 0
    assert compared(base, new(tmp_path, slower(1.0))) == 0


def night(folder: Path, number: int, factor: float) -> Path:
    """A suite with one run of the row, so many hours after the first."""
    seconds = factor * FAILOVERS[number % len(FAILOVERS)]
    return write(folder / f"night{number}", series("failoverTime", [seconds], number))


def test_one_run_a_night_is_judged_with_those_of_the_nights_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A slow-down that each night alone could never be told of is found in the fourth night."""
    baseline = tmp_path / "baseline"
    for number in range(20):
        night(baseline, number, 1.0)
    codes, alone = [], []
    for number in range(20, 26):
        new = night(tmp_path / "new", number, 1.3)
        alone.append(compared(baseline, new))
        codes.append(compared(baseline, new, "--min-runs", "5"))
        text = capsys.readouterr().out
        if codes[-1] != 1:
            night(baseline, number, 1.3)  # as a rolling baseline takes it
    assert alone == [2] * 6
    assert codes == [0, 0, 0, 1, 1, 1]
    assert "are judged with their newest runs before: 4 runs." in " ".join(text.split())


def test_runs_before_that_fill_up_leave_most_before_and_are_not_judged_anew(tmp_path: Path) -> None:
    for number in range(7):
        night(tmp_path / "base", number, 1.0)
    new = night(tmp_path / "new", 20, 1.0)
    chosen = choose(read(tmp_path / "base"), read(new), last=5, newest=None, least=5)
    assert (len(chosen.base[ROW]), len(chosen.new[ROW]), chosen.filled) == (5, 2, 1)
    assert [run.began[11:13] for run in (*chosen.base[ROW], *chosen.new[ROW])] == [
        "01",
        "02",
        "03",
        "04",
        "05",
        "06",
        "20",
    ]
    assert len(chosen.looked_at) == 1
    enough = choose(read(tmp_path / "base"), read(new), last=5, newest=None, least=1)
    assert (len(enough.base[ROW]), len(enough.new[ROW]), enough.filled) == (5, 1, 0)


def test_an_earlier_invalid_run_that_fills_up_ends_with_1_no_more(tmp_path: Path) -> None:
    earlier = series("lost", [0] * 9 + [1], 0, "forbidden")
    write(tmp_path / "base", earlier)
    new = write(tmp_path / "new", series("lost", [0], 100, "forbidden"))
    assert compared(tmp_path / "base", new, "--min-runs", "5") != 1


def test_an_invalid_run_that_no_figure_tells_of_is_said(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It proves nothing else, so that its figures are left out; exit code 1 would stand there without a word."""
    doubtful = run(100, measured("lost", 1, "forbidden"), reasons=["lost: wrong", "no evidence of the fault"])
    silent = run(101, measured("lost", None) | {"state": "invalid"}, row="redis async kill-primary")
    assert compared(base, new(tmp_path, [doubtful, silent]), "--format", "markdown") == 1
    printed = [line for line in lines(capsys) if "VIOLATED" in line]
    assert [line.split(" in ")[0] for line in printed] == [f"- VIOLATED: {ROW}", "- VIOLATED: redis async kill-primary"]
    assert compared(base, new(tmp_path, series("lost", [1], 100, "forbidden"))) == 1
    assert not [line for line in lines(capsys) if "not compared:" in line]  # its figure tells


def test_a_run_called_valid_against_its_own_properties_is_not_as_promised(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = run(120, measured("lost", 1, "forbidden") | {"state": "invalid"}) | {"verdict": "valid", "reasons": []}
    compared(base, new(tmp_path, [*slower(1.0), wrong]))
    assert "(10 as promised · 0 promise broken · 1 not proven) beside" in " ".join(lines(capsys)[:3])


@pytest.mark.parametrize("what", ["missing", "empty", "bad"])
def test_where_there_is_nothing_to_judge_it_ends_with_3(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    place = tmp_path / what
    if what != "missing":
        place.mkdir()
    if what == "bad":
        (place / results.VERDICT).write_text("{")
    assert compared(base, place) == 3
    error = capsys.readouterr().err
    assert error.startswith("FAILED: ")
    assert "Hint: " in error
    assert "Traceback" not in error


def test_a_base_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no such file or folder"):
        read(tmp_path / "none")


# Which runs are held against which.


def test_the_baseline_rolls_over_the_last_runs_of_each_row(tmp_path: Path, base: Path) -> None:
    other = write(base / "other", [run(5, measured("lost", 0), row="redis x none")])
    chosen = choose(read(base), read(new(tmp_path, slower())), last=5, newest=3)
    assert [run.began[8:13] for run in chosen.base[ROW]] == ["01T15", "01T16", "01T17", "01T18", "01T19"]
    assert len(chosen.new[ROW]) == 3
    assert len(chosen.base["redis x none"]) == 1
    assert other


def test_new_runs_that_lie_among_all_results_are_held_against_those_before_them(tmp_path: Path, base: Path) -> None:
    write(base / "later", series("failoverTime", FAILOVERS, 200))
    chosen = choose(read(base), read(base / "two"), last=20, newest=20)
    assert [run.began for run in chosen.base[ROW]] == [run.began for run in read(base / "one").runs]
    assert len(chosen.new[ROW]) == 10
    newest = choose(read(base), read(base), last=20, newest=10)  # one folder for both: the newest beside those before
    assert [len(newest.base[ROW]), len(newest.new[ROW])] == [20, 10]
    assert newest.new[ROW][0].began > newest.base[ROW][-1].began


def test_a_violation_counts_in_whichever_of_many_new_runs_it_is(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = new(tmp_path, series("lost", [1] + [0] * 119, 100, "forbidden"))
    assert compared(base, suite) == 1
    assert "(119 as promised · 1 promise broken · 0 not proven)" in " ".join(lines(capsys))
    assert compared(base, suite, "--newest", "100") == 2  # no common figure, and no violation among these


def test_an_old_run_that_proves_nothing_is_not_held_against_the_newest(tmp_path: Path) -> None:
    doubt: dict[str, Any] = {
        "verdict": "unknown",
        "reasons": ["There is no evidence of the fault: no kill is on record."],
    }
    write(tmp_path / "all", [run(0, measured("lost", 0), **doubt), *series("lost", [0] * 30, 1)])
    chosen = choose(read(tmp_path / "all"), read(tmp_path / "all"), last=20, newest=5)
    assert {run.state.value for run in chosen.looked_at} == {"valid"}
    assert [len(chosen.base[ROW]), len(chosen.new[ROW]), chosen.doubtful] == [20, 5, 1]


def test_an_older_run_may_be_held_against_a_newer_one(tmp_path: Path, base: Path) -> None:
    chosen = choose(read(base / "two"), read(base / "one"), last=20, newest=20)
    assert (len(chosen.base[ROW]), len(chosen.new[ROW])) == (10, 10)


# What is printed.


def test_markdown_has_what_matters_first_and_all_else_folded_away(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [{**run, "versions": {"postgres": "18|<b>"}} for run in slower()]
    compared(base, new(tmp_path, runs), "--format", "markdown")
    text = capsys.readouterr().out
    assert text.startswith("## Compared with earlier runs\n")
    assert text.index("version of postgres: 17.12, now 18\\|&lt;b>") < text.index("REGRESSED") < text.index("<details>")
    tables = [block.split("\n") for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 2
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1


def test_all_three_forms_are_kept_where_asked(tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "kept" / "here"
    compared(base, new(tmp_path, slower()), "--save", str(kept))
    assert sorted(file.name for file in kept.iterdir()) == ["compare.json", "compare.md", "compare.txt"]
    assert (kept / "compare.txt").read_text() == capsys.readouterr().out
    document = json.loads((kept / "compare.json").read_text())
    assert (document["schema"], document["code"]) == (COMPARE_SCHEMA, 1)
    (tmp_path / "file").write_text("")
    assert compared(base, tmp_path / "new", "--save", str(tmp_path / "file")) == 3
    assert "cannot be saved" in capsys.readouterr().err


def test_figures_that_are_the_same_in_every_run_are_shown_where_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = write(tmp_path / "base", series("lost", [0] * 20))
    suite = new(tmp_path, series("lost", [0] * 10, 100))
    assert compared(before, suite) == 0
    printed = lines(capsys)
    assert "The same in every run, and not shown (--all): 1 figure." in printed
    assert not any(line.startswith(ROW) for line in printed)
    compared(before, suite, "--all")
    assert any(line.startswith(ROW) and line.endswith("same") for line in lines(capsys))


def test_an_outage_is_called_so_where_nothing_fails_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = "cassandra ONE-ONE kill-node"
    before = write(tmp_path / "base", series("failoverTime", FAILOVERS * 2, row=row))
    compared(before, new(tmp_path, series("failoverTime", [30.0 + n for n in range(9)], 100, row=row)))
    assert any(f"{row}, outage time" in line for line in lines(capsys))


@pytest.mark.parametrize(
    "options",
    [["--last", "0"], ["--last", "101"], ["--newest", "x"], ["--false-alarms", "0"], ["--false-alarms", "100%"],
     ["--min-change", "nan"], ["--format", "html"]],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(base: Path, options: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        compared(base, base, *options)
    assert ended.value.code == 3


def test_without_scipy_it_is_said_what_to_install(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "scipy" else find(name))
    assert compared(base, base) == 3
    assert "pip install scipy" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", [float("inf"), float("-inf"), float("nan")])
def test_a_setting_without_end_costs_no_figure(tmp_path: Path, base: Path, seconds: float) -> None:
    runs = series("failoverTime", FAILOVERS, 100, settings={"faultSeconds": seconds})
    results_of_new = read(new(tmp_path, runs))
    assert (len(results_of_new.runs), results_of_new.unread) == (10, ())
    assert compared(base, tmp_path / "new") == 0


@pytest.mark.parametrize("depth", [120, 900, 5000])
def test_what_is_nested_too_deep_is_one_file_that_is_not_read(tmp_path: Path, base: Path, depth: int) -> None:
    folder = new(tmp_path, [run(100, measured("lost", 0), settings={"a": "HERE"})])
    file = folder / results.VERDICT
    file.write_text(file.read_text().replace('"HERE"', "[" * depth + "]" * depth))
    (unread,) = read(folder).unread
    assert "verdict.json: not JSON" in unread


@pytest.mark.parametrize(
    "began", ["yesterday", "2026-11-01", "2026-11-01T01:02:03", "0001-01-01T00:00:00+09:00", "<b>"]
)
def test_a_run_of_no_moment_is_refused_since_runs_are_put_in_order(tmp_path: Path, began: str) -> None:
    (unread,) = read(new(tmp_path, [run(1, measured("lost", 0), began=began)])).unread
    assert "runs[0]: field 'began' must be a moment with its time zone" in unread


def test_runs_of_several_time_zones_are_in_the_order_of_their_moments(tmp_path: Path) -> None:
    runs = [run(1, measured("lost", 0)), run(2, measured("lost", 0), began="2026-11-01T09:30:00+09:00")]
    assert [run.began for run in read(new(tmp_path, runs)).runs] == ["2026-11-01T00:30:00Z", "2026-11-01T01:00:00Z"]


def test_figures_of_another_unit_are_not_held_against_these(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [run(100 + n, measured("failoverTime", 1000 * value, unit="ms")) for n, value in enumerate(FAILOVERS)]
    assert compared(base, new(tmp_path, runs)) == 2
    text = capsys.readouterr().out
    assert "- unit of failoverTime: s (20 runs), now ms" in text or "- unit of failoverTime: s, now ms" in text
    assert "REGRESSED" not in text


HOSTILE = (
    "pg \x1b[2J\r| a \\| b [l](http://e/) ![i](http://e/p.png) <script>alert(1)</script> \u2028\u202e\ud800 `x` *y*"
)


def test_a_name_draws_nothing_and_links_to_nothing_in_markdown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts: dict[str, Any] = {"versions": {HOSTILE: "1\r\n# a"}, "row": HOSTILE}
    old = write(tmp_path / "base", series("failoverTime", FAILOVERS, **facts))
    late = {**facts, "versions": {HOSTILE: "2"}}
    folder = new(tmp_path, series("failoverTime", FAILOVERS, 50, **late), failures=[HOSTILE])
    assert compared(old, folder, "--format", "markdown") == 2
    text = capsys.readouterr().out
    assert all(char == "\n" or char.isprintable() for char in text)
    page = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    assert not {"<a", "<img", "<script"} & set(re.findall(r"<\w+", page))
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    assert {row.count("<td") + row.count("<th") for row in rows} == {7}


def test_what_is_read_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "suite", series("failoverTime", FAILOVERS))
    file = folder / results.VERDICT
    before = file.read_bytes()
    (tmp_path / "page.html").symlink_to(file)
    for output in (file, tmp_path / "page.html"):
        assert main(["trend", str(folder), "--output", str(output)]) == 3
        assert "it is one of the results to be read. Hint: name another output file" in capsys.readouterr().err
    (tmp_path / "out").mkdir()
    kept = file.rename(tmp_path / "out" / "compare.json")
    assert main(["compare", str(kept), str(kept), "--save", str(tmp_path / "out")]) == 3
    assert kept.read_bytes() == before


def test_a_disk_that_is_full_costs_no_earlier_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "suite", series("failoverTime", FAILOVERS))
    page = tmp_path / "out" / "trend.html"
    assert main(["trend", str(folder), "--output", str(page)]) == 0
    before = page.read_bytes()

    write_bytes = Path.write_bytes

    def full(file: Path, content: bytes) -> int:
        write_bytes(file, content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(["trend", str(folder), "--output", str(page)]) == 3
    assert page.read_bytes() == before
    assert [file.name for file in page.parent.iterdir()] == ["trend.html"]
