"""Recovery of what a killed prober may have sent in its last moments.

Rows are written when operations end, so a kill loses those under way. Which ones they were follows
from the schedule and the workload: writes among them come back as info (unknown), so that a value
which is there is not taken for one that nobody wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs

from caplab.model.history import Table

from .. import clock
from ..load.schedule import SECOND_NS
from ..load.transactions import READ, TXN, in_history
from ..load.workloads import INDEX_BITS, Operation, index_of, operation, transaction_of, value_of
from .meta import Meta, read_metas
from .writer import Row, batch_of, read_folder

# How long a prober may have gone on after its last row: rows come at least every start_seconds and are written five
# times a second.
_UNWRITTEN_NS = 2 * SECOND_NS
_OWN_VALUE = ("add", "write", "cas")
_NO_OWN_VALUE = ("incr", "id")
_COLUMNS = ("op", "value", "scheduled_ns")


def recovered(folder: Path) -> Table:
    """Return a folder's history, with an info row for each write that a killed incarnation may have sent.

    Such a row has a negative session of its own, the scheduled time as invoke_ns, and no return_ns.
    An incarnation that still runs gets the same rows, for what was due by now and has no row yet.
    Raises OSError, and ValueError if a meta cannot be read.
    """
    # Metas before rows: one that ends in between must not look as if all of its rows were here.
    killed = [meta for meta in read_metas(folder) if not meta.closed]
    table = read_folder(folder)
    unrecorded = ((meta, op, due_ns) for meta in killed for op, due_ns in _unrecorded(meta, table))
    missing = [_unknown(-1 - number, *write) for number, write in enumerate(unrecorded)]
    return pa.concat_tables([table, pa.Table.from_batches([batch_of(missing)])]) if missing else table


def _unrecorded(meta: Meta, table: Table) -> Iterator[tuple[Operation, int]]:
    recorded = _recorded(meta, table)
    schedule = meta.schedule
    end_ns = schedule.due_ns(max(recorded, default=0) + 1) + _unwritten_ns(meta)
    if meta.boot_id == clock.boot_id():
        end_ns = min(end_ns, clock.now_ns())  # what is not due yet was not sent
    index = 0
    while not schedule.over(index) and (due_ns := schedule.due_ns(index)) < end_ns:
        op = operation(meta.writer, index)
        if not op.only_reads and index not in recorded:
            yield op, due_ns
        index += 1


def _unwritten_ns(meta: Meta) -> int:
    # If the client waits and few operations are due, all of them may wait, with no overload to have a row.
    return _UNWRITTEN_NS + (meta.writer.spec.client.timeout_ms or 0) * (SECOND_NS // 1000)


def _recorded(meta: Meta, table: Table) -> set[int]:
    """Return the indices of an incarnation's writes that have a row.

    The value of a write shows its writer. That of an increment or an id does not, but its time on the schedule does.
    """
    first = value_of(meta.writer, 0)
    if meta.writer.spec.workload == TXN:
        return {transaction_of(value) for value in _written(table) if first <= value < first + (1 << INDEX_BITS)}
    indices: set[int] = set()
    for op, value, scheduled_ns in zip(*(table.column(name).to_pylist() for name in _COLUMNS), strict=True):
        if op in _OWN_VALUE:
            if first <= value < first + (1 << INDEX_BITS):
                indices.add(index_of(value))
        elif op in _NO_OWN_VALUE and (index := meta.schedule.index_at(scheduled_ns)) is not None:
            indices.add(index)
    return indices


def _written(table: Table) -> Iterator[int]:
    """Yield the values that the transactions of a history write."""
    for micro_ops in table.column(TXN).drop_null().to_pylist():
        yield from (micro["value"] for micro in micro_ops if micro["op"] != READ)


def _unknown(session: int, meta: Meta, op: Operation, due_ns: int) -> Row:
    writer = meta.writer
    return Row(
        vantage=writer.spec.vantages[writer.vantage],
        session=session,
        # The expected value of a cas was lost with the prober. A write may happen whenever the cas may have.
        op="write" if op.op == "cas" else op.op,
        key=op.key,
        value=op.value,
        expected=None,
        observed=None,
        level=op.level,
        route=op.route,
        server=None,
        epoch=None,
        scheduled_ns=due_ns,
        invoke_ns=due_ns,
        return_ns=None,
        outcome="info",
        error="closed",
        txn=in_history(op.txn) if op.op == TXN else None,
    )
