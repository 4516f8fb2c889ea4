"""What the checker isolation says of a history, for its proofs: the anomalies, and which models it allows."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from support.checkers.transactions import Transaction, table_of

from caplab.check import CHECKERS, Context, Finding
from caplab.check.isolation import CYCLES, models
from caplab.model.history import Table

ENOUGH = Context(enough=1)


def history_of(rows: Iterable[Mapping[str, object]]) -> Table:
    """Return the history of simulated or random transactions."""
    return table_of(
        Transaction(
            micro=str(row["micro"]),
            begin=int(str(row["begin"])),
            end=None if row["outcome"] == "info" else int(str(row["end"])),
            session=int(str(row["session"])) if row["outcome"] == "ok" else None,
            outcome=str(row["outcome"]),
        )
        for row in rows
    )


def check(history: Table) -> Finding:
    """Run the checker."""
    return CHECKERS["isolation"].check(history, ENOUGH)


def anomalies(finding: Finding) -> set[tuple[str, str]]:
    """Return the anomalies that the checker found, each with the order that it needs."""
    alone = {(name, models.BASE) for name in models.FORBIDDEN_FROM if finding.figures[name]}
    orders = itertools.product(CYCLES, models.ORDERS[1:])
    return alone | {(name, order) for name, order in orders if finding.figures[f"{name}_{order}"]}


def allows(finding: Finding, model: str, order: str) -> bool:
    """Return whether the checker allows a model."""
    return models.allowed(anomalies(finding))[order] >= models.rank_of(model)
