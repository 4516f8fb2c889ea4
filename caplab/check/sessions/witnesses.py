"""The operations that prove that a read broke a session guarantee."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.finding import Context
from caplab.check.versions import Versions
from caplab.check.witness import shares, witness
from caplab.model.fields import Json
from caplab.model.history import Table

from .search import Broken, Violations


def witnesses(history: Table, versions: Versions, violations: Violations, context: Context) -> list[Json]:
    """Show the first violations of each guarantee, by invocation.

    Each has the read, the operation that knew of a newer version, what lies between them (a later write of its session,
    and the read of that), and the writes of all that is read: without these it would be another anomaly.
    """
    builder = _WitnessBuilder(history, versions, context)
    many = shares([len(broken.read) for broken in violations.values()])
    return [
        builder.violation(name, broken, place)
        for (name, broken), shown in zip(violations.items(), many, strict=True)
        for place in np.argsort(versions.reads.row[broken.read])[:shown].tolist()
    ]


@dataclass(frozen=True, slots=True)
class _WitnessBuilder:
    history: Table
    versions: Versions
    context: Context

    def violation(self, name: str, broken: Broken, place: int) -> Json:
        """Show one violation of a guarantee."""
        reads = self.versions.reads
        read, newer = int(broken.read[place]), int(broken.newer[place])
        rows = [int(reads.row[read]), self._origin(read), newer, self._origin_of_row(newer)]
        knew, now = f"{self._who(newer)} {self._did(newer)}", self._did(rows[0])
        if broken.through is not None:
            through = int(broken.through[place])
            rows += [int(reads.row[through]), self._origin(through)]
            knew += f", then {self._did(rows[-1])}"
            now = f"{self._who(rows[0])} {self._did(rows[-2])}, then {now}"
        what = f"{name.replace('_', ' ').capitalize()}: {knew}; then {now}."
        return witness(self.history, what, rows, self.context)

    def _origin(self, read: int) -> int:
        """Return the row of the write that a read returned; -1 if it found nothing."""
        write = int(self.versions.reads.write[read])
        return int(self.versions.writes.row[write]) if write >= 0 else -1

    def _origin_of_row(self, row: int) -> int:
        """Return the same for a row of the history, which may be a write."""
        place = np.flatnonzero(self.versions.reads.row == row)
        return self._origin(int(place[0])) if len(place) else -1

    def _who(self, row: int) -> str:
        return f"session {self._cell('vantage', row)}/{self._cell('session', row)}"

    def _did(self, row: int) -> str:
        value, key = self._cell("value", row), self._cell("key", row)
        of = "the register" if key is None else f"'{key}'"
        if self._cell("op", row) == "write":
            return f"wrote {value} to {of}"
        return f"read {'nothing' if value is None else value} of {of}"

    def _cell(self, name: str, row: int) -> Json:
        value: Json = self.history.column(name)[row].as_py()
        return value
