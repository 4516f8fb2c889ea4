"""Histories that somebody else wrote down, each with its right answer, as `caplab check` reads them from a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from caplab.check import Finding, State
from caplab.checking import Assumptions, check_path


@dataclass(frozen=True, slots=True)
class Case:
    """A CSV, the checker that has something to say of it, what it concludes, and a part of its reason."""

    rows: str
    checker: str
    state: State
    says: str = ""


CASES = {
    "two clients that scan a set at the same moment": Case(
        """session,op,value,invoke_ns,return_ns,outcome
        1,add,1,0,1000000,ok
        2,add,2,0,1000000,ok
        3,scan,1,5000000,6000000,ok
        3,scan,2,5000000,6000000,ok
        4,scan,1,5000000,7000000,ok
        4,scan,2,5000000,7000000,ok""",
        "durability",
        State.HOLDS,
    ),
    "two sets, each found by its own scan": Case(
        """session,op,key,value,invoke_ns,return_ns,outcome
        1,add,a,1,0,10,ok
        2,add,b,2,0,10,ok
        3,scan,a,1,20,30,ok
        3,scan,b,2,31,40,ok""",
        "durability",
        State.HOLDS,
    ),
    "an element that was acked before the scan began, and another after": Case(
        """session,op,invoke_ns,return_ns,outcome,value
        0,add,0,10,ok,1
        1,scan,20,30,ok,
        0,add,25,40,ok,2""",
        "durability",
        State.VIOLATED,
        "Of 2 acked elements: 1 lost.",
    ),
    "an element that nobody added, in a scan before the last": Case(
        """session,op,value,invoke_ns,return_ns,outcome
        0,add,1,0,10,ok
        1,scan,1,20,30,ok
        1,scan,7,20,30,ok
        1,scan,1,40,50,ok""",
        "durability",
        State.VIOLATED,
        "Of 1 acked element: 1 unexpected.",
    ),
    "an element that is there twice, in a scan before the last add": Case(
        """session,op,value,invoke_ns,return_ns,outcome
        0,add,1,0,10,ok
        1,scan,1,20,30,ok
        1,scan,1,20,30,ok
        0,add,2,40,50,ok""",
        "durability",
        State.VIOLATED,
        "1 duplicated.",
    ),
    "two sets with the same values": Case(
        """session,op,key,value,invoke_ns,return_ns,outcome
        1,add,a,1,0,10,ok
        2,add,b,1,0,10,ok
        3,scan,a,1,20,30,ok
        3,scan,b,,31,40,ok""",
        "durability",
        State.VIOLATED,
        "Of 2 acked elements: 1 lost.",
    ),
    "a set that was not scanned": Case(
        """session,op,key,value,invoke_ns,return_ns,outcome
        1,add,a,1,0,10,ok
        2,add,b,2,0,10,ok
        3,scan,a,1,20,30,ok""",
        "durability",
        State.UNKNOWN,
        "There is no scan of set 'b'.",
    ),
    "two counters, each found by its own scan": Case(
        """session,op,key,value,invoke_ns,return_ns,outcome
        1,incr,a,1,0,10,ok
        2,incr,b,2,0,10,ok
        3,scan,a,1,20,30,ok
        3,scan,b,2,31,40,ok""",
        "counters",
        State.HOLDS,
    ),
    "two counters, one of them lost in its own scan": Case(
        """session,op,key,value,invoke_ns,return_ns,outcome
        1,incr,a,1,0,10,ok
        2,incr,b,2,0,10,ok
        3,scan,a,0,20,30,ok
        3,scan,b,2,31,40,ok""",
        "counters",
        State.VIOLATED,
        "acked increments (up to 1)",
    ),
    "two counters, one of them missing from the last scan of both": Case(
        """session,op,key,value,invoke_ns,return_ns,outcome
        1,incr,a,1,0,10,ok
        2,incr,b,2,0,10,ok
        3,scan,a,1,20,30,ok
        3,scan,b,2,20,30,ok
        3,scan,b,2,31,40,ok""",
        "counters",
        State.VIOLATED,
        "miss",
    ),
    "two registers, each found by its own scan": Case(
        """session,op,key,value,invoke_ns,return_ns,outcome
        1,write,a,1,0,10,ok
        2,write,b,2,0,10,ok
        4,read,a,1,12,14,ok
        4,read,b,2,15,16,ok
        3,scan,a,1,20,30,ok
        3,scan,b,2,31,40,ok""",
        "staleness",
        State.HOLDS,
    ),
    "two registers, one of them rolled back in its own scan": Case(
        """session,op,key,value,invoke_ns,return_ns,outcome
        1,write,a,1,0,10,ok
        2,write,b,2,0,10,ok
        4,read,a,1,12,14,ok
        3,scan,a,,20,30,ok
        3,scan,b,2,31,40,ok""",
        "staleness",
        State.VIOLATED,
        "1 dirty",
    ),
    "a cas that took effect, in a file that does not record what a cas found": Case(
        """session,op,key,value,expected,invoke_ns,return_ns,outcome
        1,write,x,1,,0,10,ok
        1,cas,x,2,1,20,30,ok
        2,read,x,2,,40,50,ok""",
        "registers",
        State.HOLDS,
    ),
    "a decrement, and a read of more than was added": Case(
        """session,op,key,value,invoke_ns,return_ns,outcome
        1,incr,c,5,0,10,ok
        1,incr,c,-2,20,30,ok
        2,read,c,3,40,50,ok
        2,read,c,9,60,70,ok""",
        "counters",
        State.VIOLATED,
        "more than was added (up to 6)",
    ),
    "registers that hold 0 before anyone writes, without a word of it": Case(
        """session,op,key,value,invoke_ns,return_ns,outcome
        1,read,x,0,0,10,ok
        1,write,x,1,20,30,ok
        2,read,x,1,40,50,ok""",
        "registers",
        State.VIOLATED,
        "Hint: if registers hold 0 at first, say so with --initial 0.",
    ),
    "registers that hold 0 before anyone writes, with a write of it before all others": Case(
        """session,op,key,value,invoke_ns,return_ns,outcome
        0,write,x,0,-2,-1,ok
        1,read,x,0,0,10,ok
        1,write,x,1,20,30,ok
        2,read,x,1,40,50,ok""",
        "registers",
        State.HOLDS,
    ),
    "values written more than once, and a cas on one that was written over": Case(
        """session,op,invoke_ns,return_ns,outcome,value,expected,observed
        0,write,0,10,ok,4,,
        0,write,20,30,ok,1,,
        0,cas,40,50,ok,3,4,4
        0,write,60,70,ok,4,,
        0,cas,80,90,ok,3,4,4
        0,cas,100,110,ok,4,3,3""",
        "registers",
        State.VIOLATED,
        "4 was seen on the key without a name after 1 had been written over it.",
    ),
    "a cas that was refused, though it would have found what it expected": Case(
        """session,op,key,value,expected,invoke_ns,return_ns,outcome
        1,write,x,1,,0,10,ok
        1,cas,x,2,1,20,30,fail
        2,read,x,1,,40,50,ok""",
        "registers",
        State.VIOLATED,
        "A cas on key 'x' was refused, though it would have found what it expected, 1.",
    ),
    "a cas that failed for another reason": Case(
        """session,op,key,value,expected,invoke_ns,return_ns,outcome,error
        1,write,x,1,,0,10,ok,
        1,cas,x,2,1,20,30,fail,refused
        2,read,x,1,,40,50,ok,""",
        "registers",
        State.HOLDS,
    ),
    "a lone read of what nobody wrote": Case(
        """session,op,value,invoke_ns,return_ns,outcome
        1,read,1,0,10,ok""",
        "registers",
        State.VIOLATED,
        "1 was seen on the key without a name, though it was never written.",
    ),
}


def findings_of(folder: Path, rows: str, initial: int | None = None) -> dict[str, Finding]:
    """Return the findings of the checkers that apply to a CSV, by their names."""
    path = folder / "history.csv"
    path.write_text("\n".join(line.strip() for line in rows.splitlines()) + "\n")
    (checked,) = check_path(path, assumed=Assumptions(initial=initial))
    return {finding.property: finding for finding in checked.findings}


def test_what_registers_hold_at_first_may_be_said(tmp_path: Path) -> None:
    rows = CASES["registers that hold 0 before anyone writes, without a word of it"].rows
    assert {finding.state for finding in findings_of(tmp_path, rows, initial=0).values()} == {State.HOLDS}
    assert findings_of(tmp_path, rows, initial=7)["registers"].state is State.VIOLATED


def test_what_registers_hold_at_first_may_be_written_again(tmp_path: Path) -> None:
    rows = """session,op,key,value,invoke_ns,return_ns,outcome
        2,read,x,0,0,5,ok
        1,write,x,0,10,20,ok
        2,read,x,0,30,40,ok
        1,write,x,3,50,60,ok
        2,read,x,3,70,80,ok"""
    findings = findings_of(tmp_path, rows, initial=0)
    assert findings.keys() >= {"registers", "staleness", "sessions"}
    assert {finding.state for finding in findings.values()} == {State.HOLDS}
    stale = findings_of(tmp_path, f"{rows}\n2,read,x,0,90,95,ok", initial=0)
    assert {stale[name].state for name in ("registers", "staleness", "sessions")} == {State.VIOLATED}


def test_what_counters_hold_at_first_may_be_said(tmp_path: Path) -> None:
    rows = """session,op,key,value,invoke_ns,return_ns,outcome
        1,incr,c,5,0,10,ok
        2,read,c,12,40,50,ok"""
    assert findings_of(tmp_path, rows, initial=7)["counters"].state is State.HOLDS
    assert findings_of(tmp_path, rows)["counters"].state is State.VIOLATED


def test_crashed_writes_of_few_values_are_no_reason_to_give_up(tmp_path: Path) -> None:
    """600 operations of one key by five clients: linearizable by construction, and 43 writes never returned."""
    findings = findings_of(tmp_path, Path(__file__).with_name("crashed_writes.csv").read_text())
    assert findings["registers"].state is State.HOLDS


@pytest.mark.parametrize("name", CASES)
def test_a_history_of_others_is_answered_right(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    findings = findings_of(tmp_path, case.rows)
    assert findings[case.checker].state is case.state
    assert case.says in findings[case.checker].reason
