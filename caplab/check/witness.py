"""Witnesses: the few operations that prove a violation, each as a plain readable row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from caplab.model.fields import Json
from caplab.model.history import Table

from .finding import Context

MAX_WITNESSES = 20  # witnesses shown of one checker
_COLUMNS = ("vantage", "session", "op", "key", "value", "expected", "observed", "level", "route", "server", "epoch")


def origin_ns(history: Table, context: Context) -> int:
    """Return the origin of witnesses' times: the injection; without a fault the first operation; 0 without any."""
    if context.injected_ns is not None:
        return context.injected_ns
    return int(history.column("invoke_ns")[0].as_py()) if history.num_rows else 0


def operations(history: Table, rows: Sequence[int], context: Context) -> list[Json]:
    """Show the operations in these rows of a validated history, in the given order.

    Each has its row (from 0, by invoke_ns), outcome, error if there is one, invoke_seconds and return_seconds (None:
    never returned) relative to origin_ns, and those of the other columns that have a value.
    """
    origin = origin_ns(history, context)
    picked = history.take(pa.array(rows, pa.int64())).to_pylist()
    return [_operation(row, cells, origin) for row, cells in zip(rows, picked, strict=True)]


def _operation(row: int, cells: Mapping[str, Json], origin: int) -> Json:
    operation: dict[str, Json] = {"row": row}
    operation |= {name: cells[name] for name in _COLUMNS if cells[name] is not None}
    if operation["op"] in ("read", "scan"):
        operation.setdefault("value", None)  # an absent value is its content
    if cells["txn"] is not None:
        operation["txn"] = [_micro(micro) for micro in cells["txn"]]  # type: ignore[union-attr,arg-type]
    operation["outcome"] = cells["outcome"]
    if cells["error"] is not None:
        operation["error"] = cells["error"]
    operation["invoke_seconds"] = _seconds(cells["invoke_ns"], origin)
    operation["return_seconds"] = _seconds(cells["return_ns"], origin)
    return operation


def _micro(micro: Mapping[str, Json]) -> Json:
    """Return a micro-operation as in a CSV: its op, its key, and its value or elements."""
    found = micro["value"] if micro["elements"] is None else micro["elements"]
    return [{"read": "r", "write": "w"}.get(str(micro["op"]), micro["op"]), micro["key"], found]


def _seconds(ns: Json, origin: int) -> float | None:
    return (ns - origin) / 1e9 if isinstance(ns, int) else None


def witness(history: Table, what: str, rows: Iterable[int], context: Context) -> Json:
    """Build a witness: a sentence that names the anomaly, and the operations that prove it; -1 is no row."""
    return {"what": what, "operations": operations(history, sorted({int(row) for row in rows} - {-1}), context)}


def shares(counts: Sequence[int], most: int = MAX_WITNESSES) -> list[int]:
    """Return how many of each kind of anomaly to show, together at most so many: as evenly as their counts allow."""
    shown = [0] * len(counts)
    while sum(shown) < most and (open_kinds := [kind for kind, count in enumerate(counts) if shown[kind] < count]):
        shown[min(open_kinds, key=shown.__getitem__)] += 1
    return shown
