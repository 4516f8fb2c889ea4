"""What was read from a file of any format: the history, and what is known of the file beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ...check.columns import Integers
from ...check.finding import Finding
from ...model.disorder import validate_stored
from ...model.fields import Json
from ...model.history import Table
from .texts import Texts

_ROW = re.compile(r"\b([Rr]ow )(\d{1,9})\b")


class FormatError(ValueError):
    """A file that is not what its format asks for; the message names line, field and hint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A history as it was in a file of some format.

    format: its name for messages. rows: for each row the place (from 0) of what invoked it among the file's events;
    None if each row is one of the file. notes: what was left out, and what else the file says. has_times: whether the
    file has the times of invocations; if not, its moments are only an order.
    """

    table: Table
    format: str
    texts: Texts = field(default_factory=Texts)
    rows: Integers | None = None
    notes: tuple[str, ...] = ()
    has_times: bool = True

    def validated(self) -> Table:
        """Return the table as validate_stored does; what it refuses is named as in the file."""
        try:
            return validate_stored(self.table)
        except ValueError as error:
            raise ValueError(self.texts.in_words(str(error))) from error

    def as_in_file(self, finding: Finding) -> Finding:
        """Return a finding with texts and rows as they are in the file."""
        if not self.texts and self.rows is None:
            return finding
        figures = {name: self._in_file(value, name) for name, value in finding.figures.items()}
        return replace(finding, reason=self._in_words(finding.reason), figures=figures)

    def _in_file(self, value: Json, name: str) -> Json:
        if isinstance(value, Mapping):
            return {inner: self._in_file(cell, inner) for inner, cell in value.items()}
        if isinstance(value, list | tuple):
            return [self._in_file(cell, name) for cell in value]
        if name == "row" and self.rows is not None and isinstance(value, int) and 0 <= value < len(self.rows):
            return int(self.rows[value])
        return self._in_words(value) if isinstance(value, str) else self.texts.shown(value, name)

    def _in_words(self, message: str) -> str:
        """Return a message with texts and rows as they are in the file."""
        return self.texts.in_words(_ROW.sub(lambda found: f"{found[1]}{self._row(int(found[2]))}", message))

    def _row(self, row: int) -> int:
        """Return the place in the file of what a message calls by its row, both from 1."""
        return row if self.rows is None or not 0 < row <= len(self.rows) else int(self.rows[row - 1]) + 1
