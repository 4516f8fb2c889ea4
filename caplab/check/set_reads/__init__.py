"""Set reads: what was added to a set stays visible to all scans that begin later, during the whole run.

As the checker set-full of Jepsen does, it follows each element from the moment at which it is known to be in the set:
when an add was acked, or a scan had shown it. Elements are not removed, so that adding one again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from caplab.check.checker import Checker, Property
from caplab.check.columns import NEVER, Integers, Mask, among, codes, integers
from caplab.check.finding import Context, Finding, State
from caplab.check.scans import of_sets
from caplab.check.standalone import has_clock
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.nouns import are, counted, grouped, were

from .elements import LONG_AGO, Elements, Reads, earliest, elements_of, last_absent, latest, reads_of
from .witnesses import Fates, witnesses

NAME = "set_reads"
_QUANTILES = {"min": 0.0, "p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
_NO_SCAN = "no scan of a set began before the last add, and none was repeated"


def check(history: Table, context: Context) -> Finding:
    """Follow each element through the scans of its set.

    Figures, in elements: scans (ok ones), attempted (elements that were added or may have been) = stable + lost +
    vanished + unsettled + never_read, acked; stable (no scan lacks it that began after the last one that shows it had
    ended), lost (acked, and the last scan lacks it), vanished (the same, but it was never acked, only seen), unsettled
    (scans that overlap or of another member differ in the end), stale (not lost, and a scan lacked it that began when
    it was known). stable_seconds: how long after it was known the last scan that lacks it began, over the stable ones;
    lost_seconds: how long after it was known the last scan that shows it began, over the lost ones; both by quantile,
    and null without a clock. stale_max_seconds: of stable_seconds and those of the unsettled.

    Violated by lost, vanished or stale. Unknown without a scan that began before the last add or was repeated, or with
    fewer than context.enough elements stable or lost.
    """
    if problem := _without_scans(history):
        return Finding(property=NAME, state=State.UNKNOWN, reason=f"{problem[0].upper()}{problem[1:]}.")
    elements = elements_of(history)
    reads = reads_of(history, elements)
    fates = _fates(elements, reads)
    figures = _figures(elements, reads, fates, has_clock(history))
    state, reason = _judge(figures, context.enough)
    if state is State.VIOLATED:
        figures["witnesses"] = witnesses(history, context, elements, reads, fates)
    return Finding(property=NAME, state=state, reason=reason, figures=figures)


def applies(history: Table) -> str:
    """Return why there is nothing to check here, or ''."""
    return _without_scans(history)


def _without_scans(history: Table) -> str:
    adds = np.flatnonzero(among(history, "op", ["add"]))
    if not len(adds):
        return "no operation is an add"
    scans = np.flatnonzero(among(history, "op", ["scan"]) & among(history, "outcome", ["ok"]) & of_sets(history))
    if not len(scans):
        return _NO_SCAN
    invoke_ns = integers(history, "invoke_ns", 0)
    return "" if invoke_ns[scans[0]] < invoke_ns[adds[-1]] or _is_repeated(history, scans) else _NO_SCAN


def _is_repeated(history: Table, scans: Integers) -> bool:
    """Return whether one set of one server was scanned at two moments: what the first showed, the second has to."""
    names = ("invoke_ns", "key", "server")
    columns = [
        integers(history, name, 0)[scans] if name == "invoke_ns" else codes(history, name)[0][scans] for name in names
    ]
    differs = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    moments = np.unique(np.stack([column[np.append(True, differs)] for column in columns]), axis=1)
    return len(np.unique(moments[1:], axis=1)[0]) < len(moments[0])


def _fates(elements: Elements, reads: Reads) -> Fates:
    """Classify each element."""
    many, scans = len(elements.key), reads.scans
    shown_ns = latest(scans.return_ns, reads, many)  # the end of the last scan that shows it
    known_ns = np.minimum(elements.acked_ns, earliest(scans.return_ns, reads, many))
    absent = last_absent(elements, reads, reads.usable)
    authority = last_absent(elements, reads, reads.usable & scans.trusted)
    gone_ns, absent_ns = _begun(scans.invoke_ns, authority), _begun(scans.invoke_ns, absent)
    gone = (gone_ns > known_ns) & (gone_ns > shown_ns) & ~_still_there(reads, many)
    seen = shown_ns != LONG_AGO
    return Fates(
        known_ns=known_ns,
        absent=np.where(gone, authority, absent),
        absent_ns=np.where(gone, gone_ns, absent_ns),
        lost=gone & (elements.acked_ns != NEVER),
        vanished=gone & (elements.acked_ns == NEVER),
        seen=seen,
        stable=seen & ~gone & (absent_ns <= shown_ns),
        stale=~gone & (absent_ns > known_ns),
        shown_from_ns=latest(scans.invoke_ns, reads, many),
    )


def _begun(invoke_ns: Integers, scan: Integers) -> Integers:
    """Return when these scans began; LONG_AGO for none."""
    return np.where(scan >= 0, np.append(invoke_ns, 0)[scan], LONG_AGO)


def _still_there(reads: Reads, elements: int) -> Mask:
    """Return which elements the last scan of some member shows, where each member was scanned for itself."""
    there = np.zeros(elements, dtype=np.bool_)
    scans = reads.scans
    if not scans.by_member:
        return there
    last: dict[tuple[int, int], int] = {}
    for scan in np.flatnonzero(reads.usable & (scans.server >= 0)).tolist():
        last[int(scans.key[scan]), int(scans.server[scan])] = scan
    is_last = np.zeros(len(reads.usable), dtype=np.bool_)
    is_last[list(last.values())] = True
    there[reads.element[is_last[reads.scan]]] = True
    return there


def _figures(elements: Elements, reads: Reads, fates: Fates, clock: bool) -> dict[str, Json]:
    gone = fates.lost | fates.vanished
    unsettled = fates.seen & ~gone & ~fates.stable
    stale_ns = np.where(fates.stale, fates.absent_ns - np.where(fates.stale, fates.known_ns, 0), 0)
    shown_ns = np.where(fates.seen, fates.shown_from_ns, 0)
    kept_ns = np.where(gone & fates.seen, np.maximum(shown_ns - np.where(gone, fates.known_ns, 0), 0), 0)
    return {
        "scans": int(reads.usable.sum()),
        "attempted": len(elements.key),
        "acked": int((elements.acked_ns != NEVER).sum()),
        "stable": int(fates.stable.sum()),
        "lost": int(fates.lost.sum()),
        "vanished": int(fates.vanished.sum()),
        "unsettled": int(unsettled.sum()),
        "never_read": int((~fates.seen & ~gone).sum()),
        "stale": int(fates.stale.sum()),
        "stale_max_seconds": float(stale_ns.max(initial=0)) / 1e9 if clock else None,
        "stable_seconds": _quantiles(stale_ns[fates.stable]) if clock else None,
        "lost_seconds": _quantiles(kept_ns[gone]) if clock else None,
    }


def _quantiles(values_ns: Integers) -> Mapping[str, Json] | None:
    if not len(values_ns):
        return None
    values = np.quantile(values_ns, list(_QUANTILES.values()), method="inverted_cdf") / 1e9
    return dict(zip(_QUANTILES, values.tolist(), strict=True))


def _judge(figures: dict[str, Json], enough: int) -> tuple[State, str]:
    scans = f"in {counted(figures['scans'], 'scan')}"
    longest = figures["stale_max_seconds"]
    for_long = f" for up to {longest:.3f} s" if isinstance(longest, float) and figures["stale"] else ""
    wrong = [f"{grouped(figures[name])} {name}" for name in ("lost", "vanished", "stale") if figures[name]]
    if wrong:
        return State.VIOLATED, f"Of {counted(figures['attempted'], 'element')} {scans}: {', '.join(wrong)}{for_long}."
    stable = figures["stable"]
    unread = figures["never_read"]
    never = f"; {unread} {were(unread)} never read" if unread else ""
    if not isinstance(stable, int) or stable < enough:
        few = f"Only {counted(stable, 'element')} {were(stable)} seen to stay"
        return State.UNKNOWN, f"{few}; {enough:,} {are(enough)} needed{never}."
    return State.HOLDS, f"{counted(stable, 'element')} stayed visible once known, {scans}{never}."


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
    properties=(
        Property.overall("setLost", "acked elements lost to scans", figure="lost", of="acked"),
        Property.overall("setVanished", "elements seen and gone again", figure="vanished", of="attempted"),
        Property.overall("setStale", "elements that a later scan lacked", figure="stale", of="attempted"),
        Property.overall("setStaleness", "longest time an element was missing", figure="stale_max_seconds", unit="s"),
        Property.overall("setNeverRead", "elements never read", figure="never_read", of="attempted"),
    ),
)
