"""The text of `caplab check`: a line for each checker and the shortest proofs, or everything that was found."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from caplab.check.finding import Finding, State
from caplab.model.fields import Json

from ...plain_text import printable
from .. import words
from ..values import Figures, listed, text
from .checked import CheckedHistory
from .witness import BRIEF, VERBOSE, Shown, witnesses

WIDTH = 110  # its width, if the terminal has as many columns
_STATE_WORDS = {State.HOLDS: "holds", State.VIOLATED: "VIOLATED", State.UNKNOWN: "unknown"}
_LISTED = 5  # entries shown of a figure that is a list
_TIE = "\N{NO-BREAK SPACE}"
_STRICTLY = "properties are checked strictly; the suite's verdict.json says what the run's mode allows"
_TABLES = ("witness", "witnesses")
_MIN_SENTENCE = 30  # columns that a sentence gets beside the names of checkers


def history_text(checked: CheckedHistory, verbose: bool = False, width: int = WIDTH) -> str:
    """Describe a history and its findings, ending in a line end; verbose: with every figure and reason."""
    if checked.problem:
        lines = _hanging(f"{_named(checked)}: not checked: {words.one_line(checked.problem)}", width, "  ")
    else:
        lines = _verbose(checked, width) if verbose else _brief(checked, width)
    return printable("\n".join(lines)) + "\n"  # names of checkers' figures too may come from the history


def _brief(checked: CheckedHistory, width: int) -> list[str]:
    """Write a line for each checker, one for those that were left out, and then the proofs."""
    proofs = [lines for finding in checked.findings if (lines := _proofs(finding, checked.has_clock, width))]
    verdict = f", {_STATE_WORDS[checked.state]}"
    lines = _folded(f"{_title(checked)}{verdict}{_origin(checked) if proofs else ''}", width)
    lines += [*_notes(checked, width), ""]
    names = max((len(finding.property) for finding in checked.findings), default=0)
    for finding in checked.findings:
        lines += _one_line(finding, names, width)
    if checked.with_fault:
        lines += _folded(_STRICTLY, width)
    if checked.left_out:
        lines += _hanging(f"not applicable: {', '.join(checked.left_out)} (why: --verbose)", width, "  ")
    for proof in proofs:
        lines += ["", *proof]
    return lines


def _one_line(finding: Finding, names: int, width: int) -> list[str]:
    label = f"{finding.property:{names}}  {_STATE_WORDS[finding.state]:8}  "
    # The sentence of the first witness follows with its operations.
    first = next((text(witness, "what") for witness in listed(finding.figures, "witnesses")), "")
    reason = finding.reason.removesuffix(first).rstrip() or finding.reason
    indent = min(len(label), max(2, width - _MIN_SENTENCE))
    return _hanging(label + words.one_line(reason), width, " " * indent)


def _proofs(finding: Finding, has_clock: bool, width: int) -> list[str]:
    lines = witnesses(finding.figures, width - 2, Shown(BRIEF, has_clock))
    return [f"{finding.property}:", *(f"  {line}" for line in lines)] if lines else []


def _verbose(checked: CheckedHistory, width: int) -> list[str]:
    """Write a paragraph for each checker, with its figures, and why others were left out."""
    lines = [*_folded(f"{_title(checked)}{_origin(checked)}", width), *_notes(checked, width)]
    for finding in checked.findings:
        lines += ["", *_paragraph(finding, checked.has_clock, width)]
    lines += ["", f"overall: {_STATE_WORDS[checked.state]}"]
    if checked.with_fault:
        lines += _folded(_STRICTLY, width, "  ")
    for checker, reason in checked.left_out.items():
        lines += _folded(f"{checker} does not apply: {reason}", width, "  ")
    if checked.left_out:
        lines += _hanging(f"not applicable: {', '.join(checked.left_out)}", width, "  ")
    return lines


def _title(checked: CheckedHistory) -> str:
    counted = f"{words.counted(checked.operations)} operation{'' if checked.operations == 1 else 's'}"
    return f"{_named(checked)}: {counted}"


def _named(checked: CheckedHistory) -> str:
    form = f" ({checked.format})" if checked.format else ""
    return f"{words.one_line(checked.name)}{form}"


def _notes(checked: CheckedHistory, width: int) -> list[str]:
    return [line for note in checked.notes for line in _hanging(words.one_line(note), width, "  ")]


def _origin(checked: CheckedHistory) -> str:
    """Say what the times of operations mean."""
    if not checked.has_clock:
        return "; its operations have an order but no times"
    return f"; times are seconds from {'the injection' if checked.with_fault else 'the first operation'}"


def _paragraph(finding: Finding, has_clock: bool, width: int) -> list[str]:
    lines = [
        f"{finding.property}: {_STATE_WORDS[finding.state]}",
        *_folded(words.one_line(finding.reason), width, "  "),
    ]
    parts = [part for name, value in finding.figures.items() if (part := _figure(name, value))]
    if parts:
        lines += _folded(words.DOT.join(part.replace(" ", _TIE) for part in parts), width, "  ")
    if finding.error:
        lines += [f"  {line}" for line in printable(finding.error).rstrip().split("\n")]
    return [*lines, *(f"  {line}" for line in witnesses(finding.figures, width - 2, Shown(VERBOSE, has_clock)))]


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


def _folded(line: str, width: int, indent: str = "") -> list[str]:
    return _hanging(line, width, indent, indent)


def _hanging(line: str, width: int, indent: str, first: str = "") -> list[str]:
    """Fold a line, with an indent before all of its parts but the first."""
    line = words.shortened(line)
    lines = textwrap.wrap(line, width, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)
    return [part.replace(_TIE, " ") for part in lines]
