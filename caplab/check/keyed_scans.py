"""The final scan of registers or counters, key by key."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.model.history import Table
from caplab.model.runs import FinalScan

from .columns import NEVER, Integers, Mask, among, integers, present
from .scans import final_scan_rows, incomplete, unusable
from .versions import key_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedScan:
    """The rows of the final scan in the history; and by code of the key, when it began and ended, and what it covers.

    A covered key without a row was not there. begin_ns is NEVER where the scan found nothing and left no row: it came
    last.
    """

    rows: Integers
    begin_ns: Integers
    end_ns: Integers
    covered: Mask

    @classmethod
    def of_all(cls, history: Table, rows: Integers, begin_ns: int, end_ns: int) -> KeyedScan:
        """Return a scan of all keys at once."""
        keys = len(key_codes(history)[1])
        return cls(
            rows=rows,
            begin_ns=np.full(keys, begin_ns),
            end_ns=np.full(keys, end_ns),
            covered=np.ones(keys, dtype=np.bool_),
        )


def keyed_scan(history: Table, final: FinalScan | None, of: Mask, workload: str) -> KeyedScan | str:
    """Return the last scan that shows any of the wanted keys (a mask of rows), or why there is none to judge by.

    A run may scan its sets, registers and counters: a set's scan shows no registers. The scan of a workload
    (REGISTER_SCAN, COUNTER_SCAN) has a record beside the final scan's. If it has none, and nothing is added to sets,
    the record of the final scan is that of these keys, and an empty scan covers all of them. Without a record it is the
    last one in the history.
    """
    record = final.keyed.get(workload) if final else None
    final = record or final
    if final is not None and (problem := unusable(final)):
        return problem
    server = final.server if final else None
    has_value = present(history, "value")
    if record is None and not among(history, "op", ["add"]).any():
        record = final
        of = of | ~(has_value | present(history, "key"))
    rows = np.flatnonzero(final_scan_rows(history, server, of, record.invoke_ns if record else None))
    if not len(rows):
        nothing_found = record is not None and record.elements == 0
        return KeyedScan.of_all(history, rows, NEVER, NEVER) if nothing_found else "There is no final scan of keys."
    begin_ns = int(integers(history, "invoke_ns", 0)[rows[0]])
    elements = int((final_scan_rows(history, server, begun_ns=begin_ns) & has_value).sum())
    if record is not None and (problem := incomplete(record, elements)):
        return problem
    end_ns = int(integers(history, "return_ns", NEVER)[rows].max())
    return KeyedScan.of_all(history, rows, begin_ns, end_ns)
