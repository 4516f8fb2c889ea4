"""Every lost, stale and two-primaries operation of a run, with the operation that it contradicts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from caplab.check import durability, epochs, staleness
from caplab.check.columns import Integers, codes, integers
from caplab.check.finding import Context
from caplab.check.series import UNNAMED
from caplab.check.witness import operations
from caplab.model.history import Table

from ..findings.witness import cells
from ..timeline.bins import StripName, kind_of
from ..values import Figures

LOST, STALE, TWO_PRIMARIES = "lost", "stale", "two-primaries"
MOST = 2_000  # of each kind: more marks are one black area, and more rows are read by nobody
_LONG_ID = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{32}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """One operation, and its witness: seconds count from the run's origin; strip is where it is drawn.

    operation and witness are the cells of a table: row, client, operation, outcome, invoked, returned, where.
    """

    kind: str
    seconds: float
    strip: StripName
    what: str
    operation: tuple[str, ...]
    witness: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomalies:
    """The first MOST of each kind, and how many there are of each."""

    shown: tuple[Anomaly, ...]
    counts: dict[str, int]
    behind_ns: Integers  # of every stale read


@dataclass(frozen=True, slots=True)
class _Found:
    """The rows of one kind, and of their witnesses; -1: there is none."""

    kind: str
    row: Integers
    witness: Integers


def anomalies_of(history: Table, context: Context, origin_ns: int) -> Anomalies:
    """Find them in a validated history, with moments from the origin on; what cannot be judged has none."""
    lost = durability.lost_rows(history, context)
    stale = staleness.stale_reads(history, context)
    both = epochs.overlapping_rows(history) if context.has_primary and not epochs.applies(history) else None
    found = [_Found(LOST, lost, np.full(len(lost), -1)), _Found(STALE, stale.row, stale.missed_row)]
    found += [_Found(TWO_PRIMARIES, *both)] if both else []
    return Anomalies(
        shown=tuple(anomaly for kind in found for anomaly in _shown(history, context, kind, origin_ns)),
        counts={kind.kind: len(kind.row) for kind in found},
        behind_ns=stale.behind_ns,
    )


def _shown(history: Table, context: Context, found: _Found, origin_ns: int) -> Iterator[Anomaly]:
    rows, witnesses = found.row[:MOST].tolist(), found.witness[:MOST].tolist()
    there = [row for row in witnesses if row >= 0]
    shown = operations(history, rows, context)
    shown_witnesses = dict(zip(there, operations(history, there, context), strict=True))
    strips = _strips(history, found.row[:MOST])
    seconds = (integers(history, "scheduled_ns", 0)[found.row[:MOST]] - origin_ns) / 1e9
    for row, operation, witness, strip, moment in zip(rows, shown, witnesses, strips, seconds.tolist(), strict=True):
        other = shown_witnesses.get(witness)
        yield Anomaly(
            kind=found.kind,
            seconds=moment,
            strip=strip,
            what=_what(found.kind, _figures(operation), _figures(other)),
            operation=_cells(_figures(operation)),
            witness=None if other is None or witness == row else _cells(_figures(other)),
        )


def _cells(operation: Figures) -> tuple[str, ...]:
    """Format an operation, with replication ids as short as they can be told apart by."""
    *others, where = cells(operation)
    return (*others, _LONG_ID.sub(r"\1", where))


def _figures(operation: object) -> Figures:
    return operation if isinstance(operation, dict) else {}


def _what(kind: str, operation: Figures, witness: Figures) -> str:
    """Say in a sentence what is wrong with an operation."""
    if kind == LOST:
        return f"The value {operation.get('value')} was acknowledged, and the final scan does not have it."
    if kind == STALE:
        return (
            f"This read of {operation.get('key')} returned {_value(operation)}, although {witness.get('value')}"
            " had been acknowledged before it was sent."
        )
    return (
        f"Acknowledged in epoch {_epoch(operation)}, though it was sent after epoch {_epoch(witness)}"
        " had begun to acknowledge."
    )


def _value(operation: Figures) -> object:
    value = operation.get("value")
    return "nothing" if value is None else value


def _epoch(operation: Figures) -> str:
    return _LONG_ID.sub(r"\1", str(operation.get("epoch")))


def _strips(history: Table, rows: Integers) -> list[StripName]:
    (vantage, vantages), (op, ops), (route, routes) = (codes(history, name) for name in ("vantage", "op", "route"))
    routes = (*routes, UNNAMED)
    return [(vantages[vantage[row]], kind_of(ops[op[row]]), routes[route[row] % len(routes)]) for row in rows.tolist()]
