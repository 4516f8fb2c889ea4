"""A job's summary page: the outcome, the CAP table of what was measured, what changed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..check.finding import State
from ..compare.options import COMPARED
from ..report import words
from ..report.grid import Grid, escaped, in_markdown
from .outcomes import MAX_BYTES, Codes, Judgement, Outcome, all_is_well, sentence

_CUT = "\n\n*Cut here: the rest is in the artifacts.*\n"
_HEADINGS: Mapping[Outcome, str] = {
    Outcome.INVALID: words.of_verdict(State.VIOLATED),
    Outcome.UNKNOWN: words.of_verdict(State.UNKNOWN),
    Outcome.FAILED: "LAB FAILED",
    Outcome.REGRESSED: "REGRESSED",
    Outcome.UNCOMPARED: "NOT COMPARED",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of a page, in Markdown; '' if there is none.

    suite: its name. table: the CAP table. changes: what `caplab compare` prints. runs: the suite's summary.md. notes:
    other remarks, such as an unfinished run.
    """

    suite: str
    table: str = ""
    changes: str = ""
    runs: str = ""
    notes: Sequence[str] = ()


def page(parts: Parts, judgement: Judgement, codes: Codes, max_bytes: int = MAX_BYTES) -> str:
    """Build the page, cut if it would be too long: what matters most comes first."""
    blocks = [f"# {escaped(parts.suite)}: {escaped(heading(judgement.outcomes))}", _came_to(judgement, codes)]
    blocks += [f"> {escaped(note)}" for note in parts.notes]
    changes = parts.changes.strip().removeprefix(COMPARED).strip()
    blocks += ["## What changed", changes or _not_compared(codes, bool(parts.runs or parts.table))]
    if parts.table:
        blocks += ["## CAP table", parts.table.strip()]
    if parts.runs:
        blocks.append(f"<details><summary>every run</summary>\n\n{parts.runs.strip()}\n\n</details>")
    return bounded("\n\n".join(blocks) + "\n", max_bytes)


def heading(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes as people read them, such as 'AS PROMISED', or 'PROMISE BROKEN, REGRESSED'."""
    return ", ".join(_HEADINGS[outcome] for outcome in outcomes) or words.of_verdict(State.HOLDS)


def bounded(text: str, max_bytes: int) -> str:
    """Cut a text to so many bytes at the end of a line, and say so."""
    raw = text.encode()
    if len(raw) <= max_bytes:
        return text
    room = max(0, max_bytes - len(_CUT.encode()))
    kept = raw[:room].decode(errors="ignore")
    return kept[: kept.rfind("\n") + 1].rstrip("\n") + _CUT


def _came_to(judgement: Judgement, codes: Codes) -> str:
    ends = (("caplab run", codes.run), ("caplab compare", codes.compare))
    rows = [(command, "not called" if code is None else str(code)) for command, code in ends]
    lines = [
        f"- **{escaped(heading([outcome]))}**: {escaped(sentence(outcome, codes))}" for outcome in judgement.outcomes
    ]
    outcomes = "\n".join(lines) or f"{all_is_well(codes).capitalize()}."
    grid = Grid("exit codes", ("command", "ended with"), tuple(rows), frozenset({0}))
    return "\n".join([outcomes, "", *in_markdown(grid)])


def _not_compared(codes: Codes, any_results: bool) -> str:
    if codes.compare is None and not any_results:
        return "Not compared: the suite left no results."
    if codes.compare is None:
        return "Not compared: there is no baseline yet, or none was asked for."
    return f"`caplab compare` ended with {codes.compare} and printed nothing."
