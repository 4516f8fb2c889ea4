"""Durability: what was acknowledged is present in the end, once, and nothing else is.

For the set workload: `add` of unique values, then a final scan. An element is its value.
"""

from __future__ import annotations

import numpy as np

from caplab.check.checker import Checker, Property
from caplab.check.columns import Integers, Mask, among
from caplab.check.finding import Context, Finding, State
from caplab.check.scans import incomplete, unusable
from caplab.check.sides import by_side
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.model.runs import FinalScan
from caplab.nouns import all_of, are, counted, grouped, were

from . import standalone_scans
from .adds import Adds, adds_of, problem_of, scan_of, within
from .outcomes import AddOutcomes
from .witnesses import witnesses, witnesses_of_own

NAME = "durability"
_SAMPLE = 5000  # values kept of each anomaly: enough for the marks of a run's picture


def check(history: Table, context: Context) -> Finding:
    """Compare what was acked with the final scan.

    Figures, in elements: attempted (sent: all adds but overloads), acked = survived + lost, unacked_found (of unknown
    outcome, and present: not an anomaly), unexpected (present, though never written or surely failed), duplicated
    (present more than once); lost_window_seconds from the invocation of the first lost write to the ack of the last;
    by_vantage, a row for each vantage and route with adds, whose counts sum to the totals; by_side, the same for each
    side of a cut, with its own lost_window_seconds (sides.by_side). The scan that counts is the last of
    context.final_scan.server. by_member, a row for each other member that was scanned: elements, those of its own copy,
    and lacking, the number of acked ones that the copy lacks (None if its rows are incomplete). That is divergence,
    which repair removes: it violates nothing. witnesses, if violated: some of every kind of anomaly, each with its add
    and its rows in the scan.

    Without a run's record (context.standalone) each key is a set of its own, judged by the scans in the rows: see
    standalone_scans. Then acked = survived + lost + unjudged.

    Violated by lost, unexpected or duplicated elements. Unknown without a converged and complete final scan, if a value
    was added twice, or with fewer than context.enough acked.
    """
    adds = adds_of(history, by_key=context.standalone)
    if problem := problem_of(adds):
        return Finding(property=NAME, state=State.UNKNOWN, reason=problem)
    if context.standalone:
        return _by_own_scans(history, context, adds)
    scan = context.final_scan
    scanned = scan_of(history, scan.server if scan else None, scan.invoke_ns if scan else None)
    fates = _fates(adds, scanned.element)
    figures = _figures(adds, fates)
    figures["by_side"] = by_side(history, context, adds.row, lambda which: _of_adds(adds, fates, which))
    figures["by_member"] = [_own_copy(history, adds, name, size) for name, size in (scan.local if scan else {}).items()]
    state, reason = _judge(figures, _scan_problem(scan, len(scanned.element)), context.enough)
    shown: dict[str, Json] = {}
    if state is State.VIOLATED:
        anomalies = fates.lost, fates.unexpected, fates.duplicated
        shown["witnesses"] = witnesses(history, context, adds, *anomalies, scanned)
    return Finding(property=NAME, state=state, reason=reason, figures={**figures, **_samples(adds, fates), **shown})


def _by_own_scans(history: Table, context: Context, adds: Adds) -> Finding:
    """Judge a history without a run's record, each set by the scans that the rows show.

    unjudged are acked elements that the last scan neither shows nor can prove to be lost, as it began too early.
    """
    result = standalone_scans.judged(history, adds)
    fates = result.outcomes
    figures = _figures(adds, fates) | {"unjudged": result.unjudged}
    figures["by_side"] = by_side(history, context, adds.row, lambda which: _of_adds(adds, fates, which))
    figures["by_member"] = []
    violated = fates.lost.any() or len(fates.unexpected) or len(fates.duplicated)
    state, reason = _judge(figures, "" if violated else result.problem, context.enough)
    shown: dict[str, Json] = {}
    if state is State.VIOLATED:
        shown["witnesses"] = witnesses_of_own(history, context, adds, fates.lost, result)
    return Finding(property=NAME, state=state, reason=reason, figures={**figures, **_samples(adds, fates), **shown})


def applies(history: Table) -> str:
    """Return why there is nothing to check here, or ''."""
    return "" if among(history, "op", ["add"]).any() else "no operation is an add"


def lost_rows(history: Table, context: Context) -> Integers:
    """Return the rows of all acked adds that the final scan of a run lacks, sorted; none if they cannot be judged."""
    none = np.zeros(0, dtype=np.int64)
    adds, scan = adds_of(history), context.final_scan
    if problem_of(adds) or scan is None:
        return none
    scanned = scan_of(history, scan.server, scan.invoke_ns)
    if _scan_problem(scan, len(scanned.element)):
        return none
    return np.sort(adds.row[_fates(adds, scanned.element).lost])


def _scan_problem(scan: FinalScan | None, rows: int) -> str:
    """Return why the final scan cannot be used to judge, or ''."""
    if scan is None:
        return "There is no record of a final scan."
    return unusable(scan) or incomplete(scan, rows)


def _fates(adds: Adds, elements: Integers) -> AddOutcomes:
    there = within(adds.value, elements)
    again = np.flatnonzero(elements[1:] == elements[:-1])
    unexpected = ~within(elements, adds.value[~adds.failed])
    unacked_found = ~adds.ok & ~adds.failed & there
    return AddOutcomes(
        there=there,
        lost=adds.ok & ~there,
        unacked_found=unacked_found,
        unexpected=_distinct(elements[unexpected]),
        duplicated=_distinct(elements[again]),
    )


def _distinct(values: Integers) -> Integers:
    """Return the sorted values, each once."""
    return values[np.append(True, values[1:] != values[:-1])] if len(values) else values


def _figures(adds: Adds, fates: AddOutcomes) -> dict[str, Json]:
    return {
        **_of_adds(adds, fates, np.ones(len(adds.value), dtype=np.bool_)),
        "unexpected": len(fates.unexpected),
        "duplicated": len(fates.duplicated),
        "by_vantage": _by_vantage(adds, fates),
    }


def _of_adds(adds: Adds, fates: AddOutcomes, which: Mask) -> dict[str, Json]:
    lost = fates.lost & which
    window_ns = int(adds.return_ns[lost].max() - adds.invoke_ns[lost].min()) if lost.any() else 0
    counts: dict[str, Json] = {name: int((mask & which).sum()) for name, mask in _counted(adds, fates).items()}
    return {**counts, "lost_window_seconds": window_ns / 1e9}


def _counted(adds: Adds, fates: AddOutcomes) -> dict[str, Mask]:
    """Classify each add."""
    return {
        "attempted": np.ones(len(adds.value), dtype=np.bool_),
        "acked": adds.ok,
        "survived": adds.ok & fates.there,
        "lost": fates.lost,
        "unacked_found": fates.unacked_found,
    }


def _samples(adds: Adds, fates: AddOutcomes) -> dict[str, Json]:
    anomalies = {"lost": adds.value[fates.lost], "unexpected": fates.unexpected, "duplicated": fates.duplicated}
    return {f"{name}_values": values[:_SAMPLE].tolist() for name, values in anomalies.items()}


def _by_vantage(adds: Adds, fates: AddOutcomes) -> list[Json]:
    """Count the totals of the adds for each vantage and route; a route with overloads only has a row of zeros."""
    counted, many = _counted(adds, fates), len(adds.labels)
    counts = {name: np.bincount(adds.group[which], minlength=many) for name, which in counted.items()}
    return [
        {"vantage": vantage, "route": route, **{name: int(count[number]) for name, count in counts.items()}}
        for number, (vantage, route) in enumerate(adds.labels)
    ]


def _own_copy(history: Table, adds: Adds, member: str, elements: int) -> Json:
    """Describe one member's own copy; an empty one has no rows, and is known by its number only."""
    copy = scan_of(history, member).element
    lacking = int((adds.ok & ~within(adds.value, copy)).sum()) if len(copy) == elements else None
    return {"server": member, "elements": elements, "lacking": lacking}


def _judge(figures: dict[str, Json], scan_problem: str, enough: int) -> tuple[State, str]:
    if scan_problem:
        return State.UNKNOWN, scan_problem
    wrong = [f"{grouped(figures[name])} {name}" for name in ("lost", "unexpected", "duplicated") if figures[name]]
    acked = figures["acked"]
    if wrong:
        return State.VIOLATED, f"Of {counted(acked, 'acked element')}: {', '.join(wrong)}."
    if not isinstance(acked, int) or acked < enough:
        few = f"Only {counted(acked, 'element')} {were(acked)} acked"
        return State.UNKNOWN, f"{few}; {enough:,} {are(enough)} needed to say that none is lost."
    return State.HOLDS, f"{all_of(acked, 'acked element')} {are(acked)} there, once, and nothing else is."


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
    properties=(
        Property(name="lost", words="acked writes lost", figure="lost", of="acked", by_route=False),
        Property(name="lostWindow", words="lost window", figure="lost_window_seconds", unit="s", by_route=False),
        Property(name="unackedFound", words="unacked writes found", figure="unacked_found", by_route=False),
        Property(
            name="unexpected", words="unexpected values", figure="unexpected", of="acked", by_side=False, by_route=False
        ),
        Property(
            name="duplicated", words="duplicated values", figure="duplicated", of="acked", by_side=False, by_route=False
        ),
    ),
)
