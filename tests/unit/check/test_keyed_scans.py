"""Runs that scan sets, registers and counters: each kind of key is judged by the record of its own scan."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from typing import Any

import pytest
from support.checkers import slow_keyed_scans
from support.checkers.histories import adds, at, history, operation, run_record
from support.checkers.written_histories import written
from support.effort import cases

from caplab.check import Context, counters, durability, staleness
from caplab.model.fields import FieldError
from caplab.model.runs import FinalScan, RunRecord

# Version 2 of x is lost: one read had seen it, another had not. The scan of sets comes last.
REGISTERS = "a1 write x 1 0-1\na1 write x 2 2-3\nb1 read x 1 4-5\nb1 read x 2 6-7"
SHOWN = "c0 scan x 1 50-51"
SETS = [*adds([7]), operation(99, op="scan", value=7)]
SCAN = "register-scan"


def record(registers: FinalScan | None, **sets: Any) -> FinalScan:
    """Of a scan of sets that went well, unless sets says something else."""
    fields = {"converged": True, "elements": 1, "invoke_ns": SETS[-1]["invoke_ns"], **sets}
    return FinalScan(**fields, keyed={SCAN: registers} if registers else {})


def figures_of(text: str, final: FinalScan, **columns: Any) -> Any:
    rows = [{**row, **columns} if row["op"] == "scan" else row for row in written(text)]
    return staleness.check(history(rows + SETS), Context(final_scan=final)).figures


def test_registers_are_judged_by_their_own_scan_and_sets_by_theirs() -> None:
    final = record(FinalScan(converged=True, elements=1, invoke_ns=at(50)))
    figures = figures_of(f"{REGISTERS}\n{SHOWN}", final)
    assert (figures["lost"], figures["missing_lost"], figures["dirty"], figures["stale"]) == (1, 1, 1, 0)
    assert figures["scan_problem"] == ""
    rows = history(written(f"{REGISTERS}\n{SHOWN}") + SETS)
    assert durability.check(rows, Context(final_scan=final)).figures["survived"] == 1


def test_a_scan_of_registers_that_found_nothing_beside_one_of_sets_means_that_all_is_lost() -> None:
    figures = figures_of(REGISTERS, record(FinalScan(converged=True, elements=0, invoke_ns=at(50))))
    assert (figures["lost"], figures["dirty"], figures["missing_lost"]) == (2, 2, 1)


@pytest.mark.parametrize(
    ("registers", "says"),
    [
        (
            FinalScan(converged=True, elements=None, server=None, problem="pg-0: timed out"),
            "final scan failed: pg-0: timed out",
        ),
        (FinalScan(converged=False, elements=1, problem="pg-2 is behind"), "had not converged .* pg-2 is behind"),
        (FinalScan(converged=True, elements=2, invoke_ns=at(50)), "returned 2 elements, but the history holds 1"),
        (FinalScan(converged=True, elements=1, invoke_ns=at(60)), "no final scan of keys"),
        (FinalScan(converged=True, elements=1, server="pg-1", invoke_ns=at(50)), "no final scan of keys"),
    ],
)
def test_a_scan_of_registers_that_went_wrong_is_said_and_not_judged_by(registers: FinalScan, says: str) -> None:
    figures = figures_of(f"{REGISTERS}\n{SHOWN}", record(registers), server="pg-0")
    assert re.search(says, figures["scan_problem"])
    assert (figures["lost"], figures["missing_lost"], figures["dirty"], figures["stale"]) == (None, None, None, 1)


def test_a_scan_of_sets_that_failed_says_nothing_of_registers() -> None:
    final = record(FinalScan(converged=True, elements=1, invoke_ns=at(50)), elements=None, problem="pg-0: timed out")
    assert figures_of(f"{REGISTERS}\n{SHOWN}", final)["lost"] == 1
    assert (
        "timed out"
        in figures_of(f"{REGISTERS}\n{SHOWN}", record(None, elements=None, problem="timed out"))["scan_problem"]
    )


def test_counters_are_judged_by_theirs_also_where_the_record_is_of_registers() -> None:
    rows = history(written(f"{REGISTERS}\n{SHOWN}\na1 incr n 1 0-1\na1 incr n 1 2-3\nc0 scan n 1 60-61"))
    counted = FinalScan(converged=True, elements=1, invoke_ns=at(60))
    final = FinalScan(converged=True, elements=1, invoke_ns=at(50), keyed={"counter-scan": counted})
    assert staleness.check(rows, Context(final_scan=final)).figures["lost"] == 1
    figures = counters.check(rows, Context(final_scan=final)).figures
    assert (figures["scanned"], figures["below"], figures["scan_problem"]) == (1, 1, "")
    failed = FinalScan(
        converged=True,
        elements=1,
        invoke_ns=at(50),
        keyed={"counter-scan": FinalScan(converged=True, elements=None, problem="timed out")},
    )
    figures = counters.check(rows, Context(final_scan=failed)).figures
    assert (figures["scanned"], figures["scan_problem"]) == (0, "The final scan failed: timed out.")


def test_the_records_of_all_scans_come_back_from_run_json() -> None:
    run = run_record(
        final_scan=record(
            FinalScan(
                converged=False, elements=3, server="pg-0", problem="pg-1 is behind", local={"pg-1": 2}, invoke_ns=12
            )
        )
    )
    assert RunRecord.from_json(json.loads(json.dumps(run.to_json()))) == run
    plain: Any = run.to_json()
    plain["final_scan"]["keyed"][SCAN]["elements"] = "3"
    with pytest.raises(FieldError, match=r"final_scan.keyed.register-scan: field 'elements' must be a whole number"):
        RunRecord.from_json(plain)


def test_scans_of_counters_by_themselves_are_judged_as_by_every_order() -> None:
    seen: Counter[str] = Counter()
    for seed in range(cases(1_000)):
        rows = slow_keyed_scans.random_rows(random.Random(seed))
        figures: Any = counters.check(history(rows), Context(standalone=True)).figures
        told, below, above = slow_keyed_scans.verdict(rows)
        assert (figures["scanned"], figures["below"], figures["above"]) == (told, below, above), f"seed {seed}"
        assert bool(figures["scan_problem"]) == (told == 0), f"seed {seed}"
        seen.update(told=told, below=below, above=above, silent=not told)
    assert min(seen.values()) > cases(100)
