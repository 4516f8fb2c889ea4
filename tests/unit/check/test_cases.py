"""Histories that somebody else wrote down, each with its right answer, as `caplab check` reads them from a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from caplab.check import Finding, State
from caplab.checking import check_path


@dataclass(frozen=True, slots=True)
class Case:
    """A CSV, the checker that has something to say of it, what it concludes, and a part of its reason."""

    rows: str
    checker: str
    state: State
    says: str = ""


CASES = {
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
        "1 show more than was added (up to 6)",
    ),
    "a lone read of what nobody wrote": Case(
        """session,op,value,invoke_ns,return_ns,outcome
        1,read,1,0,10,ok""",
        "registers",
        State.VIOLATED,
        "1 was seen on the key without a name, though it was never written.",
    ),
}


def findings_of(folder: Path, rows: str) -> dict[str, Finding]:
    """Return the findings of the checkers that apply to a CSV, by their names."""
    path = folder / "history.csv"
    path.write_text("\n".join(line.strip() for line in rows.splitlines()) + "\n")
    (checked,) = check_path(path)
    return {finding.property: finding for finding in checked.findings}


@pytest.mark.parametrize("name", CASES)
def test_a_history_of_others_is_answered_right(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    findings = findings_of(tmp_path, case.rows)
    assert findings[case.checker].state is case.state
    assert case.says in findings[case.checker].reason
