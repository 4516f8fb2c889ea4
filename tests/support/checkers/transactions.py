"""Histories of transactions for tests: written as text, one transaction each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from caplab.files.transaction_cells import parsed
from caplab.model.history import Table, validate

TICK_NS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction as JSON, when it began and returned, and in which session; end None: it never returned."""

    micro: str
    begin: int = 0
    end: int | None = 1_000_000
    session: int | None = None
    outcome: str = "ok"
    level: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def table_of(transactions: Iterable[Transaction]) -> Table:
    """Return the validated history, in order of beginning; every transaction has its own session if it names none."""
    ordered = sorted(transactions, key=lambda each: each.begin)
    return validate(
        pa.table(
            {
                "session": pa.array(
                    [1000 + n if each.session is None else each.session for n, each in enumerate(ordered)], pa.int32()
                ),
                "op": pa.array(["txn"] * len(ordered)),
                "invoke_ns": pa.array([each.begin for each in ordered], pa.int64()),
                "return_ns": pa.array([each.end for each in ordered], pa.int64()),
                "outcome": pa.array([each.outcome for each in ordered]),
                "level": pa.array([each.level for each in ordered], pa.string()),
                "txn": parsed(pa.array([each.micro for each in ordered], pa.string())),
            }
        )
    )


def concurrent(*micro: str, level: str | None = None) -> Table:
    """Return a history in which all these ran at the same time."""
    return table_of([Transaction(micro=each, level=level) for each in micro])


def in_turn(*micro: str, session: Sequence[int] | None = None) -> Table:
    """Return a history in which these ran one after another."""
    return table_of(
        Transaction(
            micro=each,
            begin=10 * number * TICK_NS,
            end=(10 * number + 5) * TICK_NS,
            session=None if session is None else session[number],
        )
        for number, each in enumerate(micro)
    )
