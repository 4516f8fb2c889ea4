"""A checker is a folder: adding one edits one file by hand, and a schema that is written from what it declares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.adding import Tree

REGISTRY = "caplab/check/__init__.py"
SCHEMA = "experiments/expectations.schema.json"  # `make schemas` writes it from what the checkers declare
EDITED = {REGISTRY, SCHEMA}
MAX_EDITED = 2  # besides its own folder and docs, generated files included
EMPTINESS = '''"""Emptiness: no read comes back empty."""

from __future__ import annotations

from caplab.check.checker import Checker, Property
from caplab.check.columns import among, present
from caplab.check.finding import Context, Finding, State
from caplab.model.history import Table

NAME = "emptiness"


def check(history: Table, context: Context) -> Finding:
    """Count the ok reads without a value."""
    reads = among(history, "op", ["read"]) & among(history, "outcome", ["ok"])
    figures = {"empty": int((reads & ~present(history, "value")).sum()), "reads": int(reads.sum())}
    state = State.HOLDS if figures["reads"] >= context.enough else State.UNKNOWN
    state = State.VIOLATED if figures["empty"] else state
    reason = f"Of {figures['reads']} reads {figures['empty']} came back empty."
    return Finding(property=NAME, state=state, reason=reason, figures=figures)


def applies(history: Table) -> str:
    """Return why there is nothing to check here, or ''."""
    return "" if among(history, "op", ["read"]).any() else "no operation is a read"


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
    properties=(
        Property(name="emptyReads", words="reads that came back empty", figure="empty", of="reads", by_side=False),
    ),
)
'''
HISTORY = """\
session,op,key,value,invoke_ns,return_ns,outcome
1,write,balance,100,0,2000000,ok
2,read,balance,,6000000,7000000,ok
2,read,balance,100,8000000,9000000,ok
"""
ROW = """\
rows:
- {engine: postgres, mode: quorum, fault: kill-primary, why: So it is., source: The manual.,
   properties: {emptyReads: forbidden}}
"""
# What the verdict and the report of a run make of the property.
JUDGE = f"""
from support.checkers.histories import operation, run_record, table
from caplab.files import expectations_file
from caplab.check import Context, check_history
from caplab.report import words
from caplab.verdict import judge

(row,) = expectations_file.parse({ROW!r}).rows
reads = [operation(0, op="read", key="x"), operation(1, op="read", key="x", value=1)]
findings = check_history(table(reads), Context())
(judgement,) = judge(row, run_record(), findings).judgements
print(words.of_expected(judgement.expected), judgement.state.value, judgement.measured, "of", judgement.of, sep=", ")
"""
# The tests that hold checkers, figures, words and schemas together.
TESTS = [
    "tests/unit/check/test_findings.py",
    "tests/unit/repository/test_schemas.py",
    "tests/unit/lab/test_expectations_schema.py",
    "tests/unit/report/test_words.py",
]
SLOW = "leaves_behind or drifted"  # they make a suite


def added(folder: Path, source: str = EMPTINESS) -> Tree:
    tree = Tree.copied(folder / "tree")
    tree.add("caplab/check/emptiness/__init__.py", source)
    tree.edit(REGISTRY, "    epochs,\n", "    emptiness,\n    epochs,\n")
    tree.edit(REGISTRY, "    schedule.CHECKER,\n", "    schedule.CHECKER,\n    emptiness.CHECKER,\n")
    return tree


def problems(schema: Path) -> list[str]:
    row = {"engine": "redis", "mode": "none", "fault": "none", "why": "So.", "source": "Redis.", "properties": {}}
    table: Any = {"rows": [{**row, "properties": {"emptyReads": {"atMost": "1"}}}]}
    return [error.message for error in Draft202012Validator(json.loads(schema.read_text())).iter_errors(table)]


def test_a_checker_is_added_by_its_folder_and_one_line(tmp_path: Path) -> None:
    tree = added(tmp_path)
    schema = tree.root / SCHEMA
    (problem,) = problems(schema)  # it is not written anew yet
    assert problem.startswith("'emptyReads' is not one of ['lost', ")
    tree.python("-m", "caplab.schemas")
    assert tree.edited() == EDITED
    assert len(tree.edited()) <= MAX_EDITED
    assert problems(schema) == []

    tree.add("history.csv", HISTORY)
    shown = tree.python("-m", "caplab", "check", "history.csv", "--verbose", code=1)
    assert "emptiness: VIOLATED\n  Of 2 reads 1 came back empty.\n  empty 1 · reads 2\n" in shown
    findings = json.loads(tree.python("-m", "caplab", "check", "history.csv", "--json", code=1))
    assert findings["checkers"]["emptiness"]["empty"] == 1
    assert '"empty": {' in tree.python("-m", "caplab.schemas", "findings")
    assert tree.python("-c", JUDGE) == "reads that came back empty, invalid, 1, of, 2\n"
    tree.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, "-k", f"not ({SLOW})")


@pytest.mark.parametrize(
    ("theirs", "ours", "sentence"),
    [
        (
            '"emptyReads"',
            '"lost"',
            "ValueError: The checkers 'durability' and 'emptiness' both declare the property 'lost'. Hint: rename one.",
        ),
        (
            'NAME = "emptiness"',
            'NAME = "ids"',
            "ValueError: caplab.check.ids and caplab.check.emptiness both declare the checker 'ids'. Hint: rename one.",
        ),
    ],
)
def test_two_checkers_that_declare_the_same_are_refused_at_import(
    tmp_path: Path, theirs: str, ours: str, sentence: str
) -> None:
    tree = added(tmp_path, EMPTINESS.replace(theirs, ours))
    assert sentence in tree.python("-c", "import caplab.check", code=1)
