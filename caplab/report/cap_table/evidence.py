"""Verdicts as stored in docs/evidence/cap: a suite's verdict.json, with when and where it was made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from caplab.check.finding import State, merge, state_of
from caplab.model.fields import Fields
from caplab.verdict import Judgement


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """One run: its row, its verdict, and every property that the row named then.

    doubtful: it did not test its row (no evidence of the fault, a baseline that failed), whatever it measured.
    """

    row: str
    state: State
    doubtful: bool
    judgements: tuple[Judgement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The evidence of one suite. date is that of its beginning (ISO, UTC); load None: it was not measured."""

    suite: str
    date: str
    cores: int
    memory_bytes: int
    load: float | None
    runs: tuple[MeasuredRun, ...]

    @classmethod
    def from_json(cls, where: str, value: object) -> Evidence:
        """Read a file's value; FieldError names the file and the field that is missing or wrong."""
        fields = Fields.of(where, value)
        machine = fields.object("machine")
        return cls(
            suite=fields.text("suite"),
            date=fields.text("date"),
            cores=machine.integer("cores"),
            memory_bytes=machine.integer("memory_bytes"),
            load=number_of(machine, "load"),
            runs=tuple(_run(run_fields) for run_fields in fields.objects("runs")),
        )


def newest_by_row(evidence: Iterable[Evidence]) -> dict[str, tuple[Evidence, tuple[MeasuredRun, ...]]]:
    """Return, for each row, its runs of the newest suite that has any."""
    newest: dict[str, tuple[Evidence, tuple[MeasuredRun, ...]]] = {}
    for suite_evidence in sorted(evidence, key=lambda suite: (suite.date, suite.suite)):
        for row in {run.row for run in suite_evidence.runs}:
            newest[row] = (suite_evidence, tuple(run for run in suite_evidence.runs if run.row == row))
    return newest


def doubtful(fields: Fields) -> bool:
    """Return whether a run of a verdict.json did not test its row. FieldError if it is not such a run."""
    states = [state_of(property_fields, "state") for property_fields in fields.objects("properties")]
    wrong = sum(state is not State.HOLDS for state in states)
    # Each property that does not hold gives a reason, and each doubt one more.
    return state_of(fields, "verdict") is not merge(states) or len(fields.texts("reasons")) > wrong


def _run(fields: Fields) -> MeasuredRun:
    judgements = tuple(
        Judgement.from_fields(property_fields, _finite) for property_fields in fields.objects("properties")
    )
    return MeasuredRun(fields.text("row"), state_of(fields, "verdict"), doubtful(fields), judgements)


def _finite(fields: Fields, name: str) -> float | None:
    """Return a number, None if it is infinite or NaN, which JSON as Python writes it may have."""
    number = number_of(fields, name)
    return number if number is not None and math.isfinite(number) else None


def number_of(fields: Fields, name: str) -> float | None:
    """Parse a number, also one that is kept as a text since a double would not hold it."""
    values: Mapping[str, object] = fields.values
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except (OverflowError, ValueError):
            pass
    raise fields.error(name, "a number")
