"""Durability: what was acknowledged is there in the end, once, and nothing else is.

For the set workload: `add` of unique values, then a final scan. An element is its value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.model.runs import FinalScan

from .columns import NEVER, Integers, Mask, among, integers, present
from .finding import ENOUGH, Context, Finding, State
from .series import groups

NAME = "durability"
_SAMPLE = 20  # values shown of each anomaly


def check(history: Table, context: Context) -> Finding:
    """Compare what was acked with the final scan.

    Figures, in elements: attempted (sent: all adds but overloads), acked = survived + lost,
    unacked_found (nobody knew, and present: no fault), unexpected (present, though never written or surely
    failed), duplicated (present more than once); lost_window_seconds from the invocation of the
    first lost write to the ack of the last; by_vantage, a row for each vantage and route with adds, whose
    counts sum to the totals. The scan that counts is the last of context.final_scan.server. by_member, a row for each
    other member that was scanned: the elements of its own copy, and lacking, how many acked ones these are not (None
    where its rows are not all here). That is divergence, and for repair to mend: it violates nothing.

    Violated by lost, unexpected or duplicated elements. Unknown without a final scan that converged
    and is here in full, when a value was added twice, or with fewer than ENOUGH acked.
    """
    adds = _adds(history)
    problem = _adds_problem(adds)
    if problem:
        return Finding(NAME, State.UNKNOWN, problem)
    scan = context.final_scan
    found = _scanned(history, scan.server if scan else None)
    figures, samples = _compare(adds, found)
    figures["by_member"] = [_own_copy(history, adds, name, size) for name, size in (scan.local if scan else {}).items()]
    finding = _judge(figures, _scan_problem(scan, len(found)))
    return Finding(NAME, finding[0], finding[1], {**figures, **samples})


@dataclass(frozen=True, slots=True)
class _Adds:
    """The adds that were sent, sorted by value."""

    value: Integers
    invoke_ns: Integers
    return_ns: Integers
    ok: Mask
    failed: Mask
    group: Integers  # each one's place in labels
    labels: tuple[tuple[str, str], ...]  # every (vantage, route) that has adds, sorted
    nameless: int  # adds that were sent without saying which value


def _adds(history: Table) -> _Adds:
    every = among(history, "op", ["add"])
    sent = every & ~among(history, "error", ["overload"])
    known = sent & present(history, "value")
    group, labels = _sides(history, every)
    value = integers(history, "value", 0)[known]
    order = np.argsort(value, kind="stable")
    return _Adds(
        value[order],
        integers(history, "invoke_ns", 0)[known][order],
        integers(history, "return_ns", NEVER)[known][order],
        among(history, "outcome", ["ok"])[known][order],
        among(history, "outcome", ["fail"])[known][order],
        group[known[every]][order],
        labels,
        int(sent.sum() - known.sum()),
    )


def _sides(history: Table, adds: Mask) -> tuple[Integers, tuple[tuple[str, str], ...]]:
    """Each add's (vantage, route), as an index into those there are, sorted by name."""
    group, labels = groups(history, adds)
    there, which = np.unique(group, return_inverse=True)
    names = [(labels[one][0], labels[one][2]) for one in there]
    by_name = sorted(range(len(names)), key=names.__getitem__)
    rank = np.argsort(np.array(by_name, dtype=np.int64))
    return rank[which].astype(np.int64), tuple(names[one] for one in by_name)


def _adds_problem(adds: _Adds) -> str:
    if adds.nameless:
        return f"{adds.nameless} adds do not say which value they added."
    twice = adds.value[1:][adds.value[1:] == adds.value[:-1]]
    if len(twice):
        return f"The value {twice[0]} was added more than once, so its fate cannot be told. Mend: make values unique."
    return ""


def _scanned(history: Table, server: str | None) -> Integers:
    """The elements of the last scan that ended well (of one member, where it is named)."""
    rows = among(history, "op", ["scan"]) & among(history, "outcome", ["ok"])
    if server is not None:
        rows &= among(history, "server", [server])
    invoke_ns = integers(history, "invoke_ns", 0)
    if rows.any():
        rows &= invoke_ns == invoke_ns[rows].max()
    return integers(history, "value", 0)[rows & present(history, "value")]


def _scan_problem(scan: FinalScan | None, rows: int) -> str:
    """Why the final scan cannot be judged by, or ''."""
    if scan is None:
        return "There is no record of a final scan."
    if not scan.converged:
        return f"The members had not converged before the final scan: {scan.problem or 'no reason given'}."
    if scan.elements is None:
        return f"The final scan failed: {scan.problem or 'no reason given'}."
    if scan.elements != rows:
        return f"The final scan returned {scan.elements} elements, but the history holds {rows} of them."
    return ""


def _compare(adds: _Adds, found: Integers) -> tuple[dict[str, Json], dict[str, Json]]:
    elements, copies = np.unique(found, return_counts=True)
    there = np.isin(adds.value, elements)
    lost = adds.ok & ~there
    maybe_written = adds.value[~adds.failed]
    unexpected = elements[~np.isin(elements, maybe_written)]
    duplicated = elements[copies > 1]
    unacked_found = ~adds.ok & ~adds.failed & there
    window_ns = int(adds.return_ns[lost].max() - adds.invoke_ns[lost].min()) if lost.any() else 0
    figures: dict[str, Json] = {
        "attempted": len(adds.value),
        "acked": int(adds.ok.sum()),
        "survived": int((adds.ok & there).sum()),
        "lost": int(lost.sum()),
        "unacked_found": int(unacked_found.sum()),
        "unexpected": len(unexpected),
        "duplicated": len(duplicated),
        "lost_window_seconds": window_ns / 1e9,
        "by_vantage": _by_vantage(adds, there, unacked_found),
    }
    anomalies = {"lost": adds.value[lost], "unexpected": unexpected, "duplicated": duplicated}
    samples: dict[str, Json] = {f"{name}_values": values[:_SAMPLE].tolist() for name, values in anomalies.items()}
    return figures, samples


def _by_vantage(adds: _Adds, there: Mask, unacked_found: Mask) -> list[Json]:
    """The totals that are of adds, for each vantage and route; one with overloads only has a row of zeros."""
    counted = {
        "attempted": np.ones(len(adds.value), dtype=np.bool_),
        "acked": adds.ok,
        "survived": adds.ok & there,
        "lost": adds.ok & ~there,
        "unacked_found": unacked_found,
    }
    counts = {name: np.bincount(adds.group[which], minlength=len(adds.labels)) for name, which in counted.items()}
    return [
        {"vantage": vantage, "route": route, **{name: int(count[number]) for name, count in counts.items()}}
        for number, (vantage, route) in enumerate(adds.labels)
    ]


def _own_copy(history: Table, adds: _Adds, member: str, elements: int) -> Json:
    """What one member itself holds; one that holds nothing has no rows, and is known by its number only."""
    found = _scanned(history, member)
    lacking = int((adds.ok & ~np.isin(adds.value, found)).sum()) if len(found) == elements else None
    return {"server": member, "elements": elements, "lacking": lacking}


def _judge(figures: dict[str, Json], scan_problem: str) -> tuple[State, str]:
    if scan_problem:
        return State.UNKNOWN, scan_problem
    wrong = [f"{figures[name]} {name}" for name in ("lost", "unexpected", "duplicated") if figures[name]]
    acked = figures["acked"]
    if wrong:
        return State.VIOLATED, f"Of {acked} acked elements: {', '.join(wrong)}."
    if not isinstance(acked, int) or acked < ENOUGH:
        return State.UNKNOWN, f"Only {acked} elements were acked; {ENOUGH} are needed to say that none is lost."
    return State.HOLDS, f"All {acked} acked elements are there, once, and nothing else is."
