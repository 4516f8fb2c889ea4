"""Counters: a read returns at least what had surely been added, and at most what may have been.

The bounds that linearizability puts on a register that is only added to or taken from, as Jepsen's counter checker has
them: no increment that was acked is lost, none counts twice, and none counts that surely failed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.checker import Checker
from caplab.check.columns import NEVER, Integers, Mask, among, integers, present
from caplab.check.finding import Context, Finding, State
from caplab.check.keyed_scans import KeyedScan, keyed_scan
from caplab.check.lines import line_order, packed
from caplab.check.standalone_keyed_scans import standalone_keyed_scan
from caplab.check.versions import key_codes
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.model.runs import COUNTER_SCAN
from caplab.nouns import all_of, are, counted, grouped

from .witnesses import CounterReads, witnesses

NAME = "counters"
_OTHERS = (
    "write",
    "cas",
    "add",
    "load",
    "id",
    "enqueue",
    "dequeue",
)  # a key to which these are done as well is no counter


def check(history: Table, context: Context) -> Finding:
    """Compare every ok read of a counter with the increments that returned before it, and those invoked by its return.

    A counter is a key that only increments change; it begins at context.initial (0), and an absent
    one is that too. Amounts may be negative
    (null: 1). What was acked before a read's invocation surely counts in it; what was acked or unknown (info) and
    invoked no later than its return may. So a read returns at least the sum of the positive amounts that surely count
    and the negative ones that may, and at most that of the positive ones that may and the negative ones that surely do.
    A usable final scan reads every counter once; one that it does not show is 0. Whether a session's reads go back is
    not checked: both reads may be within their bounds.

    Figures: keys, keys_skipped (keys with increments that are not counters), increments (acked or unknown), reads,
    scanned (counters in the final scan), below (reads, scanned ones included, that miss acked increments) with
    missing_max (how much the worst misses), above (reads of more than was added) with excess_max;
    scan_problem. Violated by either. Unknown with fewer than context.enough reads, or without counters.
    """
    key, names = key_codes(history)
    effective = among(history, "op", ["incr"]) & ~among(history, "outcome", ["fail"])
    counter, other, skipped = _counters(history, key, len(names))
    if not counter.any():
        problem = f"None of {skipped:,} keys is a counter." if skipped else "No operation is an incr."
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
    other = among(history, "op", _OTHERS)
    has = np.zeros((2, keys), dtype=np.bool_)
    has[0, key[incr]] = True
    has[1, key[other & ~failed]] = True
    return has[0] & ~has[1], has[1], int((has[0] & has[1]).sum())


def _all_reads(history: Table, context: Context, key: Integers, counter: Mask, other: Mask) -> tuple[CounterReads, str]:
    """Collect every ok read of a counter, and what the final scan shows of each."""
    reads = np.flatnonzero(among(history, "op", ["read"]) & among(history, "outcome", ["ok"]) & counter[key])
    of = counter[key] if context.standalone else ~other[key]
    scan = (
        standalone_keyed_scan(history, of)
        if context.standalone
        else keyed_scan(history, context.final_scan, of, COUNTER_SCAN)
    )
    start = context.initial or 0
    if isinstance(scan, str):
        nothing = KeyedScan.of_all(history, np.zeros(0, dtype=np.int64), NEVER, NEVER)
        return _reads_at(history, key, reads, nothing.rows, nothing, -1, start), scan
    rows = scan.rows[counter[key[scan.rows]] & (present(history, "value") | (key != len(counter) - 1))[scan.rows]]
    absent = np.setdiff1d(np.flatnonzero(counter & scan.covered), key[rows])
    proof = int(scan.rows[0]) if len(scan.rows) else -1
    counter_reads = _reads_at(history, key, np.concatenate((reads, rows)), absent, scan, proof, start)
    counter_reads.scanned[len(reads) :] = True
    return counter_reads, ""


def _reads_at(
    history: Table, key: Integers, rows: Integers, absent: Integers, scan: KeyedScan, proof: int, start: int
) -> CounterReads:
    """Compute the bounds of reads by their rows, and of counters that the scan does not show by their keys."""
    none = np.zeros(len(absent), dtype=np.int64)
    begin = np.full(len(rows) + len(absent), start)
    return CounterReads(
        row=np.concatenate((rows, none + proof)),
        key=np.concatenate((key[rows], absent)),
        value=np.concatenate((integers(history, "value", start)[rows], none + start)),
        invoke_ns=np.concatenate((integers(history, "invoke_ns", 0)[rows], scan.begin_ns[absent])),
        return_ns=np.concatenate((integers(history, "return_ns", NEVER)[rows], scan.end_ns[absent])),
        scanned=np.zeros(len(begin), dtype=np.bool_),
        least=begin,
        most=begin.copy(),
        start=start,
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
    returned_ns, invoked_ns = integers(history, "return_ns", NEVER), integers(history, "invoke_ns", 0)
    order = line_order(counter_reads.key, counter_reads.invoke_ns)  # searches near each other are many times faster
    sorted_key, asked_ns, answered_ns = (
        column[order] for column in (counter_reads.key, counter_reads.invoke_ns, counter_reads.return_ns)
    )
    for sign, surely, possibly in (
        (amount > 0, counter_reads.least, counter_reads.most),
        (amount < 0, counter_reads.most, counter_reads.least),
    ):
        sure, possible = acked & sign, increments & sign
        if possible.any():
            returned = _Sums.of(key[sure], returned_ns[sure], amount[sure])
            invoked = _Sums.of(key[possible], invoked_ns[possible], amount[possible])
            surely[order] += returned.before(sorted_key, asked_ns, included=False)
            possibly[order] += invoked.before(sorted_key, answered_ns, included=True)
    return counter_reads


def _judge(figures: dict[str, Json], reads: int, enough: int) -> tuple[State, str]:
    if figures["below"] or figures["above"]:
        below, above = figures["below"], figures["above"]
        wrong = []
        if below:
            most = grouped(figures["missing_max"])
            wrong.append(f"{grouped(below)} miss{'es' if below == 1 else ''} acked increments (up to {most})")
        if above:
            most = grouped(figures["excess_max"])
            wrong.append(f"{grouped(above)} show{'s' if above == 1 else ''} more than was added (up to {most})")
        return State.VIOLATED, f"Of {counted(reads, 'read')} of counters {', '.join(wrong)}."
    if reads < enough:
        return State.UNKNOWN, f"Only {counted(reads, 'read')} of counters; {enough:,} {are(enough)} needed."
    counters = counted(figures["keys"], "counter")
    return State.HOLDS, f"{all_of(reads, 'read')} of {counters} {are(reads)} between what was acked and what was sent."


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
)
