"""The output of `caplab check`: for each history its findings, their figures and witnesses, and what did not apply."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from caplab.check.finding import Finding, State, merge
from caplab.model.fields import Json

from ...plain_text import printable
from .. import words
from ..values import Figures
from .witness import witnesses

WIDTH = 100  # its width, if the terminal has as many columns
_STATE_WORDS = {State.HOLDS: "holds", State.VIOLATED: "VIOLATED", State.UNKNOWN: "unknown"}
_LISTED = 5  # entries shown of a figure that is a list
_TIE = "\N{NO-BREAK SPACE}"
_STRICTLY = "each property is checked strictly; whether the run's mode allows that is in the suite's verdict.json"
_TABLES = ("witness", "witnesses")


def history_text(
    name: str,
    operations: int,
    with_fault: bool,
    findings: Sequence[Finding],
    left_out: Mapping[str, str],
    width: int = WIDTH,
) -> str:
    """Describe a history and its findings, ending in a line end; left_out: why a checker had nothing to check."""
    since = "the injection" if with_fault else "the first operation"
    counted = f"{words.counted(operations)} operation{'' if operations == 1 else 's'}"
    lines = _folded(f"{words.one_line(name)}: {counted}; times count from {since}", width)
    for finding in findings:
        lines += ["", *_finding(finding, width)]
    lines += ["", f"in all: {_STATE_WORDS[merge(finding.state for finding in findings)]}"]
    if with_fault:
        lines += _folded(_STRICTLY, width, "  ")
    for checker, reason in left_out.items():
        lines += _folded(f"{checker} is left out: {reason}", width, "  ")
    if left_out:
        named = f"not applicable: {', '.join(left_out)}"  # one line, if it fits: programs search for it
        lines += _folded(named, width) if width < WIDTH else [named]
    return printable("\n".join(lines)) + "\n"  # names of checkers' figures too may come from the history


def _finding(finding: Finding, width: int) -> list[str]:
    lines = [
        f"{finding.property}: {_STATE_WORDS[finding.state]}",
        *_folded(words.one_line(finding.reason), width, "  "),
    ]
    parts = [part for name, value in finding.figures.items() if (part := _figure(name, value))]
    if parts:
        lines += _folded(words.DOT.join(part.replace(" ", _TIE) for part in parts), width, "  ")
    if finding.error:
        lines += [f"  {line}" for line in printable(finding.error).rstrip().split("\n")]
    return [*lines, *(f"  {line}" for line in witnesses(finding.figures, width - 2))]


def _figure(name: str, value: Json) -> str:
    """Format a figure; '' if it is a table of its own, which only --json shows."""
    text = _list(value) if isinstance(value, Sequence) and not isinstance(value, str) else _plain(value)
    if isinstance(value, Mapping):
        text = _object(value)
    return f"{name} {text}" if text and name not in _TABLES else ""


def _object(value: Figures) -> str:
    inner = [(name, _plain(inner_value)) for name, inner_value in value.items()]
    return (
        ", ".join(f"{name} {inner_value}" for name, inner_value in inner)
        if all(inner_value for _, inner_value in inner)
        else ""
    )


def _list(value: Sequence[Json]) -> str:
    shown = [_plain(inner_value) for inner_value in value[:_LISTED]]
    if not shown or not all(shown):
        return ""
    more = f" and {len(value) - _LISTED} more" if len(value) > _LISTED else ""
    return ", ".join(shown) + more


def _plain(value: Json) -> str:
    """Format a single figure; '' if it contains others."""
    if value is None:
        return words.NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return str(value)
    return words.one_line(value) if isinstance(value, str) else ""


def _folded(text: str, width: int, indent: str = "") -> list[str]:
    text = words.shortened(text)
    lines = textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    return [line.replace(_TIE, " ") for line in lines]
