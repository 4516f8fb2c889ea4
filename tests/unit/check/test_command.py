"""`caplab check`: what it prints, what it leaves out, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.checkers.commands import FEW, RunCheck, stored
from support.checkers.histories import CASSANDRA, Row, adds, at, kill, node_kill_run, operation, run_record, scan, table

from caplab import check, checking
from caplab.check import Context, Finding, State
from caplab.files import results
from caplab.model.history import Table
from caplab.model.runs import FinalScan

WRITES = [operation(10 * number, key="x", value=number) for number in range(3)]
READS = [operation(10 * number + 5, op="read", key="x", value=number) for number in range(3)]
CLEAN = adds([1, 2, 3]) + scan([1, 2, 3])


def findings_of(out: str) -> dict[str, Any]:
    document = json.loads(out)
    assert set(document) - {"format"} == {"validity", "checkers"}
    checkers: dict[str, Any] = document["checkers"]
    return checkers


@pytest.mark.parametrize("name", ["history.csv", "history.parquet"])
def test_a_bare_file_is_checked_by_all_that_have_something_to_look_at(
    name: str, run_check: RunCheck, tmp_path: Path
) -> None:
    code, out, err = run_check(stored(tmp_path / name, CLEAN, FEW), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["validity"] == "valid"
    assert findings_of(out).keys() == {"durability"}
    durability = findings_of(out)["durability"]
    assert (durability["validity"], durability["acked"], durability["lost"]) == ("valid", 3, 0)
    assert durability["reason"] == "All 3 acked elements are there, once, and nothing else is."


def test_availability_is_of_files_that_have_a_schedule_and_the_schedule_of_runs_only(
    run_check: RunCheck, tmp_path: Path
) -> None:
    failed = [operation(0, "fail", op="read", key="x", error="refused")]
    _, out, _ = run_check(stored(tmp_path / "a.csv", WRITES + failed, FEW), "--json")
    assert not {"availability", "schedule"} & findings_of(out).keys()
    code, out, _ = run_check(stored(tmp_path / "b.csv", WRITES + failed), "--json")
    assert "schedule" not in findings_of(out)
    assert (code, findings_of(out)["availability"]["validity"]) == (1, "invalid")


@pytest.mark.parametrize(
    ("rows", "code", "says"),
    [
        (CLEAN, 0, "valid"),
        (adds([1, 2]) + scan([1]), 1, "invalid"),
        (adds([1, 2]), 2, "unknown"),  # no final scan
        ([operation(0, "info", op="read")], 2, "unknown"),  # nothing to look at
    ],
)
def test_the_exit_code_says_what_is_known(
    rows: list[Row], code: int, says: str, run_check: RunCheck, tmp_path: Path
) -> None:
    path = stored(tmp_path / "h.csv", rows, FEW)
    assert run_check(path)[0] == code
    ended, out, _ = run_check(path, "--json")
    assert (ended, json.loads(out)["validity"]) == (code, says)


def test_of_chosen_checkers_each_says_something_whether_or_not_it_applies(run_check: RunCheck, tmp_path: Path) -> None:
    path = stored(tmp_path / "h.csv", CLEAN, FEW)
    code, out, _ = run_check(path, "--checker", "epochs", "--checker", "durability", "--json")
    assert list(findings_of(out)) == ["epochs", "durability"]
    assert (code, findings_of(out)["epochs"]["validity"]) == (2, "unknown")
    assert run_check(path, "--checker", "durability")[0] == 0
    assert "not applicable" not in run_check(path, "--checker", "durability")[1]


@pytest.mark.parametrize("as_json", [(), ("--json",)])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("session,op\n1,read\n", "h.csv (CSV): The history has no column 'invoke_ns'. Hint: add it (int64)."),
        ("session,op,invoke_ns,return_ns,outcome\n1,read,2,1,ok\n", "h.csv (CSV): Row 1: return_ns is before"),
        ("session,op,invoke_ns,return_ns,outcome\n1,read,2,3,ok\n1,re", "h.csv (CSV): Row 2: it has 2 fields"),
        ("", "h.csv: The file is empty."),
        (None, "h.csv: there is no such file or folder."),
    ],
)
def test_what_cannot_be_checked_is_exit_code_3_a_sentence_and_nothing_else(
    content: str | None, says: str, as_json: tuple[str, ...], run_check: RunCheck, tmp_path: Path
) -> None:
    path = tmp_path / "h.csv"
    if content is not None:
        path.write_text(content)
    code, out, err = run_check(path, *as_json)
    assert (code, out) == (3, "")
    assert err.startswith("FAILED: ")
    assert says in err
    assert err.count("\n") == 1


def test_a_pipe_is_refused(run_check: RunCheck, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    code, out, err = run_check(tmp_path / "pipe")
    assert (code, out) == (3, "")
    assert "not a file that can be read twice" in err


@pytest.mark.parametrize("arguments", [[], ["h.csv", "--checker"], ["h.csv", "--enough", "0"], ["h.csv", "--jsno"]])
def test_a_command_line_that_makes_no_sense_is_no_unknown_verdict(arguments: list[str], run_check: RunCheck) -> None:
    code, out, err = run_check(*arguments)
    assert (code, out) == (3, "")
    assert "usage: caplab" in err


def test_a_checker_that_does_not_exist_is_refused_with_those_there_are(run_check: RunCheck, tmp_path: Path) -> None:
    code, out, err = run_check(stored(tmp_path / "h.csv", CLEAN, FEW), "--checker", "durabilty")
    assert (code, out) == (3, "")
    assert err.startswith(
        "FAILED: There is no checker 'durabilty'. Hint: did you mean durability? Use one of durability, s"
    )


def test_so_many_operations_as_asked_for_say_that_a_property_holds(run_check: RunCheck, tmp_path: Path) -> None:
    path = stored(tmp_path / "h.csv", CLEAN, FEW)
    assert run_check(path, "--enough", 3)[0] == 0
    assert run_check(path, "--enough", 4)[0] == 2


def test_a_session_sees_its_own_operation_that_returned_when_the_next_began(
    run_check: RunCheck, tmp_path: Path
) -> None:
    path = tmp_path / "history.csv"
    header = "session,op,key,value,invoke_ns,return_ns,outcome"
    stale = "1,write,x,5,0,5000,ok\n2,write,x,4,0,20000,ok\n1,read,x,,5000,8000,ok\n"
    path.write_text(f"{header}\n{stale}")
    assert run_check(path, "--checker", "registers")[0] == 1
    path.write_text(f"{header}\n{stale}3,read,x,4,5000,8000,ok\n")  # it may have begun before the first one returned
    assert run_check(path, "--checker", "registers")[0] == 0


def test_a_level_is_a_model_and_judges_transactions(run_check: RunCheck, tmp_path: Path) -> None:
    path = tmp_path / "history.edn"
    skew = ("[[:r x []] [:append y 1]]", "[[:r y []] [:append x 1]]")
    path.write_text("".join(f"{{:process {n}, :type :ok, :value {micro}}}\n" for n, micro in enumerate(skew)))
    assert run_check(path)[0] == 1
    assert run_check(path, "--level", "snapshot-isolation")[0] == 0
    code, out, err = run_check(path, "--level", "linear")
    assert (code, out) == (3, "")
    assert "'linear' is no model that is known" in err


def test_a_checker_that_raises_is_unknown_with_its_traceback(
    run_check: RunCheck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(table: Table, context: Context) -> Finding:
        raise ZeroDivisionError("oh no")

    monkeypatch.setitem(check.CHECKERS, "durability", replace(check.CHECKERS["durability"], check=broken))
    path = stored(tmp_path / "h.csv", CLEAN, FEW)
    code, out, _ = run_check(path, "--json")
    assert code == 2
    assert findings_of(out)["durability"]["validity"] == "unknown"
    assert "ZeroDivisionError: oh no" in findings_of(out)["durability"]["error"]
    assert "ZeroDivisionError: oh no" in run_check(path)[1]


def kept(folder: Path, rows: list[Row], **fields: Any) -> Path:
    """A run's folder."""
    alone = table([{**row, "session": number} for number, row in enumerate(rows)])
    results.write_run(folder, run_record(**fields), alone)
    return folder


def test_a_run_is_checked_with_what_its_record_knows(run_check: RunCheck, tmp_path: Path) -> None:
    rows = adds(range(150)) + scan(range(1, 150), server="pg-0") + scan([7], 2_000_000, server="pg-1")
    folder = kept(tmp_path / "run", rows, final_scan=FinalScan(converged=True, elements=149, server="pg-0"))
    code, out, _ = run_check(folder, "--json")
    findings = findings_of(out)
    assert (code, findings["durability"]["lost"]) == (1, 1)
    assert findings["durability"]["witnesses"][0]["operations"][0]["invoke_seconds"] == -1  # the injection is at 1 s
    assert findings["schedule"]["validity"] == "valid"
    assert "times are seconds from the injection" in run_check(folder)[1].splitlines()[0]


def test_a_run_takes_as_many_operations_as_in_its_verdict(run_check: RunCheck, tmp_path: Path) -> None:
    folder = kept(tmp_path, CLEAN, final_scan=FinalScan(converged=True, elements=3), fault_windows=())
    assert run_check(folder, "--checker", "durability")[0] == 2
    assert run_check(folder, "--checker", "durability", "--enough", 1)[0] == 0


def test_a_folder_of_runs_is_every_run_by_its_name(run_check: RunCheck, tmp_path: Path) -> None:
    kept(
        tmp_path / "01-good",
        adds(range(30)) + scan(range(30)),
        final_scan=FinalScan(converged=True, elements=30),
        fault_windows=(),
    )
    kept(
        tmp_path / "02-bad",
        adds(range(30)) + scan(range(9)),
        final_scan=FinalScan(converged=True, elements=9),
        fault_windows=(),
    )
    code, out, _ = run_check(tmp_path, "--json", "--checker", "durability")
    document = json.loads(out)
    assert (code, document["validity"], list(document)) == (1, "invalid", ["validity", "runs"])
    assert {name: run["validity"] for name, run in document["runs"].items()} == {
        "01-good": "valid",
        "02-bad": "invalid",
    }
    assert document["runs"]["02-bad"]["checkers"]["durability"]["lost"] == 21
    text = run_check(tmp_path)[1]
    assert text.index("01-good: 60 operations") < text.index("02-bad: 39 operations")
    (tmp_path / "02-bad" / results.HISTORY).write_bytes(b"PAR1")
    code, out, _ = run_check(tmp_path, "--json")
    runs = json.loads(out)["runs"]
    assert (code, runs["01-good"]["validity"], runs["02-bad"]["validity"]) == (2, "valid", "unknown")
    assert "Hint: " in runs["02-bad"]["problem"]
    (tmp_path / "01-good" / results.HISTORY).write_bytes(b"PAR1")
    assert run_check(tmp_path, "--json")[:2] == (3, "")


def test_a_folder_without_a_whole_run_is_refused(run_check: RunCheck, tmp_path: Path) -> None:
    code, _, err = run_check(tmp_path)
    assert code == 3
    assert "there is no run in this folder. Hint: name one that has run.json and history.parquet" in err
    stored(tmp_path / results.HISTORY, CLEAN)
    code, _, err = run_check(tmp_path)
    assert code == 3
    assert "run.json" in err
    (tmp_path / results.RECORD).write_text("{")
    assert "not JSON" in run_check(tmp_path)[2]


def test_a_run_without_a_primary_has_one_scan_of_all_members(run_check: RunCheck, tmp_path: Path) -> None:
    """From the file alone the same scan is found as the record names."""
    rows = node_kill_run(lost=[60_010])
    fields = CASSANDRA | {"fault_windows": (kill(10_000, 25_000),), "settled_ns": at(52_000)}
    elements = sum(row["op"] == "scan" and row.get("server") == "all" for row in rows)
    folder = kept(tmp_path, rows, final_scan=FinalScan(converged=True, elements=elements, server="all"), **fields)
    of_run, of_file = (
        run_check(path, "--checker", "durability", "--json") for path in (folder, folder / results.HISTORY)
    )
    assert of_run[0] == of_file[0] == 1
    figures = [findings_of(out)["durability"] for _, out, _ in (of_run, of_file)]
    assert [(figure["acked"], figure["lost"], figure["lost_values"]) for figure in figures] == [(5970, 1, [60_010])] * 2


@pytest.mark.parametrize("redirected", [">&-", "| true", "| head -n 1"])
def test_nobody_reading_to_the_end_is_no_traceback(redirected: str, tmp_path: Path) -> None:
    rows = adds(range(4000)) + scan([])
    path = stored(tmp_path / "h.csv", rows + adds([5000], "info") + scan([1]), FEW)
    command = f"{sys.executable} -m caplab check {path} --json {redirected}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env=os.environ)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_full_disk_is_exit_code_3(tmp_path: Path) -> None:
    path = stored(tmp_path / "h.csv", CLEAN, FEW)
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "caplab", "check", str(path)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("FAILED: the output could not be written")


def test_states_have_their_exit_codes() -> None:
    assert {state: checking.EXIT_CODES[state] for state in State} == {
        State.HOLDS: 0,
        State.VIOLATED: 1,
        State.UNKNOWN: 2,
    }


def test_a_terminal_that_lacks_a_letter_still_shows_the_rest(tmp_path: Path) -> None:
    path = stored(tmp_path / "h.parquet", [operation(0, key="schlüssel", value=1), *READS], FEW)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "caplab", "check", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode in (0, 1, 2)
    assert done.stderr == ""


@pytest.mark.parametrize("record", [b"[" * 200_000, b"\xff\xfe{", b"{}", b'{"id": "\\ud800"}', b""])
def test_a_runs_record_that_is_none_is_refused(record: bytes, run_check: RunCheck, tmp_path: Path) -> None:
    stored(tmp_path / results.HISTORY, CLEAN)
    (tmp_path / results.RECORD).write_bytes(record)
    code, out, err = run_check(tmp_path)
    assert (code, out, err.count("\n")) == (3, "", 1)


def test_a_name_that_is_too_long_or_draws_is_refused_in_one_line(run_check: RunCheck, tmp_path: Path) -> None:
    for name in ("x" * 5000, "a\nb\x1b[31m\u202e"):
        code, out, err = run_check(tmp_path / name)
        assert (code, out, err.count("\n")) == (3, "", 1)
        assert all(char == "\n" or char.isprintable() for char in err)
