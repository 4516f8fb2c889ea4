"""Queues: each acked element is delivered, once, in the order of the queue, and nothing else is.

For `enqueue` of elements, and `dequeue`, which returns one or finds nothing. A queue is a key. A scan of a queue shows
what is left in it, or has drained it.
"""

from __future__ import annotations

import numpy as np

from caplab.check.checker import Checker, Property
from caplab.check.columns import among
from caplab.check.finding import Context, Finding, State
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.nouns import all_of, are, counted, grouped, were

from .deliveries import deliveries_of
from .losses import missing_of
from .operations import Operations, operations_of
from .order import falsely_empty, overtaken, staying, stays_of
from .witnesses import Anomalies, witnesses

NAME = "queue"
_WRONG = {
    "lost": "lost",
    "unexpected": "never enqueued",
    "duplicated": "delivered again",
    "out_of_order": "overtaken",
}


def check(history: Table, context: Context) -> Finding:
    """Match what was delivered (dequeued, or shown by a scan) with what was enqueued.

    Figures, in elements: queues, attempted (enqueues that took effect or may have), acked, dequeued, left (shown by
    scans), lost (acked, neither dequeued nor shown, and gone, even if each dequeue of unknown outcome took one),
    maybe_taken (gone as well, but such a dequeue may have taken it), undrained (acked, not seen again, and nothing
    shows that they are gone), unexpected (delivered without being enqueued by then), duplicated (delivered once more
    than enqueued), out_of_order (they left late, or not at all: one that was enqueued after them had been dequeued),
    out_of_order_of_producer (the same session had enqueued both), empty and falsely_empty (dequeues that found nothing,
    and those of them while an element was there: no violation).

    Violated by lost, unexpected, duplicated or out_of_order. Unknown with undrained elements, if an enqueue does not
    say what it enqueued, or with fewer than context.enough elements delivered.
    """
    operations = operations_of(history)
    if operations.nameless:
        reason = f"{counted(operations.nameless, 'enqueue')} without the element: its fate is not known."
        return Finding(property=NAME, state=State.UNKNOWN, reason=reason)
    false = falsely_empty(operations, stays_of(operations, np.zeros(0, dtype=np.int64)))
    missing = missing_of(operations, false)
    stays = stays_of(operations, staying(operations, missing.unaccounted))
    anomalies = Anomalies(
        deliveries=deliveries_of(operations),
        missing=missing,
        stays=stays,
        overtaken=overtaken(stays),
    )
    figures = _figures(operations, anomalies) | {"empty": len(operations.empty.row), "falsely_empty": len(false)}
    state, reason = _judge(figures, context.enough)
    if state is State.VIOLATED:
        figures["witnesses"] = witnesses(history, context, operations, anomalies)
    return Finding(property=NAME, state=state, reason=reason, figures=figures)


def applies(history: Table) -> str:
    """Return why there is nothing to check here, or ''."""
    return "" if among(history, "op", ["enqueue", "dequeue"]).any() else "no operation is an enqueue or a dequeue"


def _figures(operations: Operations, anomalies: Anomalies) -> dict[str, Json]:
    deliveries, missing = anomalies.deliveries, anomalies.missing
    shown = operations.per_element(operations.shown) > 0
    return {
        "queues": operations.queues,
        "attempted": len(operations.enqueues.row),
        "acked": int(operations.enqueues.ok.sum()),
        "dequeued": len(operations.dequeues.row),
        "left": int((shown & (operations.per_element(operations.dequeues) == 0)).sum()),
        "lost": len(missing.lost),
        "maybe_taken": len(missing.enqueue) - len(missing.lost),
        "undrained": len(missing.unaccounted),
        "unexpected": len(deliveries.unexpected),
        "duplicated": len(deliveries.duplicated) + len(deliveries.shown_again),
        "out_of_order": len(anomalies.overtaken.late),
        "out_of_order_of_producer": anomalies.overtaken.by_producer,
    }


def _judge(figures: dict[str, Json], enough: int) -> tuple[State, str]:
    acked, undrained = figures["acked"], figures["undrained"]
    wrong = [f"{grouped(figures[name])} {words}" for name, words in _WRONG.items() if figures[name]]
    if wrong:
        return State.VIOLATED, f"Of {counted(acked, 'acked element')}: {', '.join(wrong)}."
    if undrained:
        return State.UNKNOWN, (
            f"{counted(undrained, 'acked element')} {were(undrained)} not dequeued, and nothing shows what became of"
            f" {'it' if undrained == 1 else 'them'}. Hint: drain the queue at the end, until it is empty, or scan it."
        )
    delivered = _number(figures, "dequeued") + _number(figures, "left")
    if delivered < enough:
        few = f"Only {counted(delivered, 'element')} {were(delivered)} delivered"
        return State.UNKNOWN, f"{few}; {enough:,} {are(enough)} needed to say that none is lost."
    if not acked:
        return State.HOLDS, "Nothing was acked, and all that was delivered had been enqueued."
    taken = figures["maybe_taken"]
    maybe = f"; dequeues of unknown outcome may have taken {grouped(taken)} of them" if taken else ""
    return State.HOLDS, (
        f"{all_of(acked, 'acked element')} {were(acked)} delivered once and in order, and nothing else{maybe}."
    )


def _number(figures: dict[str, Json], name: str) -> int:
    value = figures[name]
    return value if isinstance(value, int) else 0


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
    properties=(
        Property.overall("queueLost", "acked elements of queues lost", figure="lost", of="acked"),
        Property.overall("queueDuplicated", "elements of queues delivered again", figure="duplicated", of="acked"),
        Property.overall("queueUnexpected", "elements of queues never enqueued", figure="unexpected", of="acked"),
        Property.overall("queueOutOfOrder", "elements of queues overtaken", figure="out_of_order", of="acked"),
        Property.overall(
            "queueOutOfOrderOfProducer",
            "elements of queues overtaken by the same producer's",
            figure="out_of_order_of_producer",
            of="acked",
        ),
    ),
)
