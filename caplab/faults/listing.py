"""`caplab faults`: a table of everything that is live."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from caplab.contract.phases import FAULT_OVER
from caplab.report.words import one_line

from .rows import Row

NOTHING = "nothing is live"
_HEADER = ("NAMESPACE", "NAME", "WHAT", "TARGET", "PODS", "PHASE", "SINCE (UTC)", "LEFT", "PROVEN")


def table(rows: Sequence[Row], every: bool = False) -> list[str]:
    """Return lines that show all live rows, with `every` also those that are over; NOTHING if there are none. Pure."""
    shown = [row for row in rows if every or row.phase not in FAULT_OVER]
    if not shown:
        return [NOTHING]
    shown.sort(key=lambda row: (row.since_unix or 0.0, row.namespace, row.name))
    cells = [_HEADER, *map(_cells, shown)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    # Never folded, as in kubectl, so that names can be copied.
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    return lines if any(row.phase not in FAULT_OVER for row in shown) else [*lines, NOTHING]


def _cells(row: Row) -> tuple[str, ...]:
    texts = (
        row.namespace,
        row.name,
        f"{row.kind} {row.detail}",
        row.target,
        ", ".join(row.pods),
        row.phase,
        "" if row.since_unix is None else f"{datetime.fromtimestamp(row.since_unix, UTC):%Y-%m-%d %H:%M:%S}",
        _left(row.left_seconds),
        "yes" if row.proven else "no",
    )
    return tuple(one_line(text) or "-" for text in texts)


def _left(seconds: float | None) -> str:
    """Format the time left; a fault past its end and still live is marked: some agent does not answer."""
    if seconds is None:
        return ""
    return f"{seconds:.0f} s" if seconds >= 0 else f"{-seconds:.0f} s late"
