"""Load: a key missing in a cache needs only one load from the store behind it.

Overlapping loads of a key belong to one miss: every later reader could have waited for the load under way (single
flight). Their number is the miss's stampede factor (Vattani, Chierichetti & Lowenstein, "Optimal probabilistic cache
stampede prevention", VLDB 2015).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.checker import RATIO, Checker, Property
from caplab.check.columns import Integers, Mask, among, integers, present
from caplab.check.finding import Context, Finding, State
from caplab.check.lines import line_order, packed
from caplab.check.versions import key_codes
from caplab.check.witness import MAX_WITNESSES, witness
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.nouns import are, counted, grouped, were

NAME = "load"
_SHOWN = 20  # loads of one miss in a witness


def check(history: Table, context: Context) -> Finding:
    """Count the loads of each miss, whatever their outcome: the store had them all. Overloads were never sent.

    A load that never returned counts as under way only at the moment of its invocation, since its duration is unknown.
    Figures: keys, loads, misses, factor {mean, p50, p99, max} (loads of a miss, nearest rank), stampedes (misses with
    more than one load), redundant (loads beyond the first of their miss), repeated (misses of a key that had been
    loaded before) and the shortest_gap_seconds from the end of a load to that of the same key that repeated it (None
    without one). A repeated load violates nothing: the history does not show whether the key had expired.

    What was sent before context.steady_ns is left out: a cache that is empty at first. factor_mean and factor_max
    repeat two figures under names that an expectation can use.

    Violated by a stampede. Unknown with fewer than context.enough loads.
    """
    steady = integers(history, "invoke_ns", 0) >= (0 if context.steady_ns is None else context.steady_ns)
    rows = np.flatnonzero(_loads(history) & steady)
    miss = _misses(history, rows)
    figures = _figures(history, rows, miss)
    largest = np.argsort(-miss.loads, kind="stable")[:MAX_WITNESSES]
    shown = [number for number in largest if miss.loads[number] > 1]
    figures["witnesses"] = [_witness(history, rows[miss.order], miss, int(number), context) for number in shown]
    state, reason = _judge(figures, context.enough)
    return Finding(property=NAME, state=state, reason=reason, figures=figures)


def applies(history: Table) -> str:
    """Return why there is nothing to check here, or ''."""
    return "" if among(history, "op", ["load"]).any() else "no operation is a load"


def _loads(history: Table) -> Mask:
    return among(history, "op", ["load"]) & ~among(history, "error", ["overload"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Misses:
    """Misses by key and time: where each begins among the sorted loads, and its number of loads."""

    order: Integers
    begin: Integers
    loads: Integers
    gap_ns: Integers  # of those whose key had been loaded before: since the end of that


def _misses(history: Table, rows: Integers) -> _Misses:
    key, invoke_ns = key_codes(history)[0][rows], integers(history, "invoke_ns", 0)[rows]
    return_ns = np.where(present(history, "return_ns")[rows], integers(history, "return_ns", 0)[rows], invoke_ns)
    order = line_order(key, invoke_ns)
    key, invoke_ns, return_ns = key[order], invoke_ns[order], return_ns[order]
    begins, ends = packed((key, invoke_ns), (key, return_ns))
    is_first = np.ones(len(order), dtype=np.bool_)
    # All operations of a key come after those of the keys before it.
    is_first[1:] = begins[1:] > np.maximum.accumulate(ends)[:-1]
    begin = np.flatnonzero(is_first)
    first_ns, last_ns = invoke_ns[begin], np.maximum.reduceat(return_ns, begin) if len(begin) else return_ns
    again = key[begin[1:]] == key[begin[:-1]]
    return _Misses(
        order=order,
        begin=begin,
        loads=np.diff(np.append(begin, len(order))),
        gap_ns=(first_ns[1:] - last_ns[:-1])[again],
    )


def _figures(history: Table, rows: Integers, miss: _Misses) -> dict[str, Json]:
    factor: dict[str, Json] = dict.fromkeys(("mean", "p50", "p99", "max"))
    if len(rows):
        p50, p99, most = np.quantile(miss.loads, [0.5, 0.99, 1], method="inverted_cdf")
        factor = {"mean": float(miss.loads.mean()), "p50": int(p50), "p99": int(p99), "max": int(most)}
    return {
        "keys": len(np.unique(key_codes(history)[0][rows])),
        "loads": len(rows),
        "misses": len(miss.begin),
        "factor": factor,
        "factor_mean": factor["mean"],
        "factor_max": factor["max"],
        "stampedes": int((miss.loads > 1).sum()),
        "redundant": len(rows) - len(miss.begin),
        "repeated": len(miss.gap_ns),
        "shortest_gap_seconds": int(miss.gap_ns.min()) / 1e9 if len(miss.gap_ns) else None,
    }


def _witness(history: Table, rows: Integers, miss: _Misses, number: int, context: Context) -> Json:
    begin, loads = int(miss.begin[number]), int(miss.loads[number])
    key = history.column("key")[int(rows[begin])].as_py() or ""
    text = f"'{key}' was loaded {loads:,} times where once would be enough."
    return witness(history, text, rows[begin : begin + min(loads, _SHOWN)].tolist(), context)


def _judge(figures: dict[str, Json], enough: int) -> tuple[State, str]:
    loads, misses = figures["loads"], figures["misses"]
    if figures["stampedes"]:
        return (
            State.VIOLATED,
            f"{grouped(figures['stampedes'])} of {counted(misses, 'miss', 'misses')} {were(figures['stampedes'])}"
            f" loaded more than once, in {counted(loads, 'load')}.",
        )
    if not isinstance(loads, int) or loads < enough:
        return State.UNKNOWN, f"Only {counted(loads, 'load')}; {enough:,} {are(enough)} needed."
    return State.HOLDS, f"Each of {counted(misses, 'miss', 'misses')} was loaded once{_repeats(figures)}."


def _repeats(figures: dict[str, Json]) -> str:
    """Return how many loads repeated one of the same key, or ''."""
    repeated, gap_seconds = figures["repeated"], figures["shortest_gap_seconds"]
    if not repeated:
        return ""
    keys = "a key that had been loaded" if repeated == 1 else "keys that had been loaded"
    return f"; {grouped(repeated)} of them {were(repeated)} of {keys} before, {gap_seconds:.3g} s after at the soonest"


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
    properties=(
        Property(
            name="stampedeMean", words="loads a miss", figure="factor_mean", unit=RATIO, by_side=False, by_route=False
        ),
        Property(
            name="stampedeMax",
            words="loads of the worst miss",
            figure="factor_max",
            unit=RATIO,
            by_side=False,
            by_route=False,
        ),
    ),
)
