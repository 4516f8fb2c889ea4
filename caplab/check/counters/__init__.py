"""Counters: a read returns at least what had surely been added, and at most what may have been.

The bounds that linearizability puts on a register that is only added to, as Jepsen's counter checker has them: no
increment that was acked is lost, none counts twice, and none counts that surely failed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.checker import Checker
from caplab.check.columns import NEVER, Integers, Mask, among, integers, present
from caplab.check.finding import Context, Finding, State
from caplab.check.lines import line_order, packed
from caplab.check.scans import keyed_scan
from caplab.check.versions import key_codes
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.model.runs import COUNTER_SCAN

from .witnesses import CounterReads, witnesses

NAME = "counters"
_OTHERS = ("write", "cas", "add", "load", "id")  # a key to which these are done as well is no counter


def check(history: Table, context: Context) -> Finding:
    """Compare every ok read of a counter with the increments that returned before it, and those invoked by its return.

    A counter is a key that only increments change; it begins at 0, and an absent one is 0. Amounts are positive (null:
    1). A read returns at least the sum of what was acked before its invocation, and at most the sum of what was acked
    or unknown (info) and invoked no later than its return. A usable final scan reads every counter once; one that it
    does not show is 0. Whether a session's reads go back is not checked: both reads may be within their bounds.

    Figures: keys, keys_skipped (keys with increments that are not counters, or with amounts below 1), increments (acked
    or unknown), reads, scanned (counters in the final scan), below (reads, scanned ones included, that miss acked
    increments) with missing_max (how much the worst misses), above (reads of more than was added) with excess_max;
    scan_problem. Violated by either. Unknown with fewer than context.enough reads, or without counters.
    """
    key, names = key_codes(history)
    effective = among(history, "op", ["incr"]) & ~among(history, "outcome", ["fail"])
    counter, other, skipped = _counters(history, key, len(names))
    if not counter.any():
        problem = f"None of {skipped} keys is a counter." if skipped else "No operation is an incr."
        return Finding(property=NAME, state=State.UNKNOWN, reason=problem, figures={"keys": 0, "keys_skipped": skipped})
    counter_reads, scan_problem = _all_reads(history, context, key, counter, other)
    counter_reads = _bounded(history, key, effective & counter[key], counter_reads)
    figures: dict[str, Json] = {
        "keys": int(counter.sum()),
        "keys_skipped": skipped,
        "increments": int((effective & counter[key]).sum()),
        "reads": int((~counter_reads.scanned).sum()),
        "scanned": int(counter_reads.scanned.sum()),
        **counter_reads.to_json(),
        "scan_problem": scan_problem,
        "witnesses": witnesses(history, counter_reads, key, names, context),
    }
    state, reason = _judge(figures, len(counter_reads.row), context.enough)
    return Finding(property=NAME, state=state, reason=reason, figures=figures)


def applies(history: Table) -> str:
    """Return why there is nothing to check here, or ''."""
    if not among(history, "op", ["incr"]).any():
        return "no operation is an incr"
    key, names = key_codes(history)
    counter = _counters(history, key, len(names))[0]
    if not counter.any():
        return "no key is a counter"
    return "" if (among(history, "op", ["read", "scan"]) & counter[key]).any() else "no counter is read"


def _counters(history: Table, key: Integers, keys: int) -> tuple[Mask, Mask, int]:
    """Return which keys are counters, which are something else, and how many with increments are not counters."""
    incr = among(history, "op", ["incr"])
    failed = among(history, "outcome", ["fail"])
    other = among(history, "op", _OTHERS) | (incr & (integers(history, "value", 1) < 1))
    has = np.zeros((2, keys), dtype=np.bool_)
    has[0, key[incr]] = True
    has[1, key[other & ~failed]] = True
    return has[0] & ~has[1], has[1], int((has[0] & has[1]).sum())


def _all_reads(history: Table, context: Context, key: Integers, counter: Mask, other: Mask) -> tuple[CounterReads, str]:
    """Collect every ok read of a counter, and what the final scan shows of each."""
    reads = np.flatnonzero(among(history, "op", ["read"]) & among(history, "outcome", ["ok"]) & counter[key])
    scan = keyed_scan(history, context.final_scan, ~other[key], COUNTER_SCAN)
    if isinstance(scan, str):
        return _reads_at(history, key, reads, np.zeros(0, dtype=np.int64), NEVER, -1), scan
    rows = scan.rows[counter[key[scan.rows]] & (present(history, "value") | (key != len(counter) - 1))[scan.rows]]
    absent = np.setdiff1d(np.flatnonzero(counter), key[rows])
    proof = int(scan.rows[0]) if len(scan.rows) else -1
    counter_reads = _reads_at(history, key, np.concatenate((reads, rows)), absent, scan.begin_ns, proof)
    counter_reads.scanned[len(reads) :] = True
    return counter_reads, ""


def _reads_at(
    history: Table, key: Integers, rows: Integers, absent: Integers, begin_ns: int, proof: int
) -> CounterReads:
    """Compute the bounds of reads by their rows, and of counters that the scan does not show by their keys."""
    none = np.zeros(len(absent), dtype=np.int64)
    nothing = np.zeros(len(rows) + len(absent), dtype=np.int64)
    return CounterReads(
        row=np.concatenate((rows, none + proof)),
        key=np.concatenate((key[rows], absent)),
        value=np.concatenate((integers(history, "value", 0)[rows], none)),
        invoke_ns=np.concatenate((integers(history, "invoke_ns", 0)[rows], none + begin_ns)),
        return_ns=np.concatenate((integers(history, "return_ns", NEVER)[rows], none + begin_ns)),
        scanned=nothing > 0,
        least=nothing,
        most=nothing.copy(),
    )


@dataclass(frozen=True, slots=True)
class _Sums:
    """Amounts added to keys at moments, with their sums up to any moment."""

    key: Integers
    moment_ns: Integers
    total: Integers  # of all amounts before each, and of all

    @classmethod
    def of(cls, key: Integers, moment_ns: Integers, amount: Integers) -> _Sums:
        order = line_order(key, moment_ns)
        return cls(key[order], moment_ns[order], np.concatenate(([0], np.cumsum(amount[order]))))

    def before(self, key: Integers, moment_ns: Integers, included: bool) -> Integers:
        """Sum the amounts added to each key before a moment, or up to it if included."""
        added, asked = packed((self.key, self.moment_ns), (key, moment_ns))
        end = np.searchsorted(added, asked, side="right" if included else "left")
        begin = np.searchsorted(self.key, key)
        sums: Integers = self.total[end] - self.total[begin]
        return sums


def _bounded(history: Table, key: Integers, increments: Mask, counter_reads: CounterReads) -> CounterReads:
    """Return the same reads with their bounds."""
    amount = integers(history, "value", 1)
    acked = increments & among(history, "outcome", ["ok"])
    returned = _Sums.of(key[acked], integers(history, "return_ns", NEVER)[acked], amount[acked])
    invoked = _Sums.of(key[increments], integers(history, "invoke_ns", 0)[increments], amount[increments])
    order = line_order(counter_reads.key, counter_reads.invoke_ns)  # searches near each other are many times faster
    sorted_key = counter_reads.key[order]
    counter_reads.least[order] = returned.before(sorted_key, counter_reads.invoke_ns[order], included=False)
    counter_reads.most[order] = invoked.before(sorted_key, counter_reads.return_ns[order], included=True)
    return counter_reads


def _judge(figures: dict[str, Json], reads: int, enough: int) -> tuple[State, str]:
    if figures["below"] or figures["above"]:
        return State.VIOLATED, (
            f"Of {reads} reads of counters {figures['below']} miss acked increments (up to {figures['missing_max']}),"
            f" {figures['above']} show more than was added (up to {figures['excess_max']})."
        )
    if reads < enough:
        return State.UNKNOWN, f"Only {reads} reads of counters; {enough} are needed."
    return State.HOLDS, f"All {reads} reads of {figures['keys']} counters are between what was acked and what was sent."


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
)
