"""Staleness: a read returns the newest version that was acknowledged before it was invoked, or a newer one.

For registers with ordered values (see versions). How far behind a read is counts in milliseconds and in versions, as
in "t-visibility" and "k-staleness" of Bailis et al., "Probabilistically bounded staleness for practical partial
quorums", VLDB 2012.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.checker import Checker, Property
from caplab.check.columns import Integers
from caplab.check.finding import Context, Finding, State
from caplab.check.keyed_scans import keyed_scan
from caplab.check.sides import by_side
from caplab.check.standalone_keyed_scans import standalone_keyed_scan
from caplab.check.versions import (
    UNBOUNDED,
    Versions,
    acked_before,
    applies,
    key_codes,
    keys_left_out,
    too_few_reads,
    versions_of,
)
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.model.runs import REGISTER_SCAN
from caplab.nouns import counted, grouped

from .figures import JudgedReads, behind_versions, by_label, figures_of, phases
from .scan import ScannedVersions, shown_at_the_end
from .witnesses import Anomalies, witnesses

__all__ = ["NAME", "StaleReads", "applies", "check", "stale_reads"]

NAME = "staleness"


def check(history: Table, context: Context) -> Finding:
    """Compare every ok read of a key with ordered values with what was acked before it was invoked.

    Figures of reads: reads (all), stale (returned an older version than one acked before their invocation), fraction
    (stale of reads), undecided (would be stale, but the write of what they returned may have taken effect late),
    unexpected (returned a value not written by then, or whose write surely failed). behind_ms: from the earliest ack
    that a stale read missed to its invocation, p50, p99 and max (nearest rank; None if none is stale);
    max_behind_seconds: its maximum, 0 if none is stale; behind_versions: how many acked versions it missed, p50 and
    max. stale_in_fault: stale reads invoked from the injection to heal. keys, and keys_skipped, whose values have no
    order.

    Figures by the final scan of registers (None without one, with scan_problem): lost (acked writes, newer than what it
    shows), missing_lost (reads that missed only lost writes; they are not stale), dirty (reads of a version newer than
    it shows: rolled back later), unexpected_at_the_end (keys with a value that was never written). by_route, by_level,
    by_vantage and by_phase (before, during the fault, after heal; by invocation) have a row each; by_side has the same
    for each side of a cut (sides.by_side).

    Violated by stale, dirty or unexpected reads. Unknown with fewer than context.enough reads, or without such keys.
    """
    versions = versions_of(history, context.initial)
    shown = _shown(history, context, versions)
    # A value that nobody wrote is wrong even if there are no writes at all.
    if versions.problem and not len(versions.unexpected) and (isinstance(shown, str) or not len(shown.unexpected)):
        return Finding(
            property=NAME,
            state=State.UNKNOWN,
            reason=versions.problem,
            figures={"keys": 0, "keys_skipped": versions.skipped},
        )
    judged = _judge_reads(history, context, versions, None if isinstance(shown, str) else shown)
    figures = {**_figures(versions, shown, judged), **by_label(history, judged)}
    figures["by_side"] = by_side(history, context, judged.row, lambda which: figures_of(judged, which))
    anomalies = Anomalies(judged.stale, judged.dirty, versions.unexpected)
    figures["witnesses"] = witnesses(history, versions, anomalies, None if isinstance(shown, str) else shown, context)
    state, reason = _judge(figures, context.enough)
    return Finding(property=NAME, state=state, reason=reason, figures=figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleReads:
    """All stale reads by the rows of their history, sorted; missed_row is that of the first ack that each missed."""

    row: Integers
    missed_row: Integers
    behind_ns: Integers


def stale_reads(history: Table, context: Context) -> StaleReads:
    """Return every stale read of a run's history."""
    versions = versions_of(history, context.initial)
    shown = _shown(history, context, versions)
    judged = _judge_reads(history, context, versions, None if isinstance(shown, str) else shown)
    row = judged.row[judged.stale]
    order = np.argsort(row)
    return StaleReads(row=row[order], missed_row=judged.missed_row[order], behind_ns=judged.behind_ns[order])


def _shown(history: Table, context: Context, versions: Versions) -> ScannedVersions | str:
    """Return what the final scan shows, or why there is none to judge by."""
    of = versions.ordered[key_codes(history)[0]]
    scan = (
        standalone_keyed_scan(history, of)
        if context.standalone
        else keyed_scan(history, context.final_scan, of, REGISTER_SCAN)
    )
    return scan if isinstance(scan, str) else shown_at_the_end(history, versions, scan)


def _judge_reads(history: Table, context: Context, versions: Versions, shown: ScannedVersions | None) -> JudgedReads:
    reads, acks = versions.reads, versions.acks
    acked = acked_before(acks, reads.key, reads.invoke_ns)
    missing = acked > reads.returned_version
    missing_lost = dirty = None
    stale = missing
    if shown is not None:
        missing_lost = missing.copy()
        missing_lost[missing] = shown.are_lost(
            reads.key[missing], reads.returned_version[missing] + 1, acked[missing], acks
        )
        stale = missing & ~missing_lost
        dirty = (reads.required_version > shown.returned_version[reads.key]) & (
            reads.return_ns < shown.begin_ns[reads.key]
        )
    # Versions count from 1: the first that a read missed is one more than its own, and so at its own place.
    missed = reads.returned_version[stale]
    first_missed_ns = acks.return_ns[missed]
    behind_ns = reads.invoke_ns[stale] - first_missed_ns
    # Unexpected reads are reads too, though of no version.
    row = np.concatenate((reads.row, versions.unexpected))
    none = np.zeros(len(versions.unexpected), dtype=np.bool_)
    return JudgedReads(
        row=row,
        phase=phases(history, row, context),
        stale=np.append(stale, none),
        missing_lost=None if missing_lost is None else np.append(missing_lost, none),
        dirty=None if dirty is None else np.append(dirty, none),
        behind_ns=behind_ns,
        behind_versions=acked[stale] - missed,
        missed_row=acks.row[missed],
    )


def _undecided(versions: Versions) -> int:
    """Count reads that would be stale if the write of their value had not possibly taken effect late."""
    reads = versions.reads
    late = np.flatnonzero(reads.returned_version == UNBOUNDED)
    acked = acked_before(versions.acks, reads.key[late], reads.invoke_ns[late])
    return int((acked > versions.writes.newest[reads.write[late]]).sum())


def _figures(versions: Versions, shown: ScannedVersions | str, judged: JudgedReads) -> dict[str, Json]:
    return {
        "keys": versions.keys,
        "keys_skipped": versions.skipped,
        **figures_of(judged, np.ones(len(judged.row), dtype=np.bool_)),
        "behind_versions": behind_versions(judged),
        "undecided": _undecided(versions),
        "unexpected": len(versions.unexpected),
        "lost": None if isinstance(shown, str) else shown.lost(versions.acks),
        "unexpected_at_the_end": None if isinstance(shown, str) else len(shown.unexpected),
        "scan_problem": shown if isinstance(shown, str) else "",
    }


def _judge(figures: dict[str, Json], enough: int) -> tuple[State, str]:
    reads = figures["reads"]
    kinds = {
        "stale": "stale",
        "dirty": "dirty",
        "unexpected": "unexpected",
        "unexpected_at_the_end": "unexpected in the final scan",
    }
    wrong = [f"{grouped(figures[name])} {words}" for name, words in kinds.items() if figures[name]]
    left_out = keys_left_out(figures["keys_skipped"])
    if wrong:
        return State.VIOLATED, f"Of {counted(reads, 'read')}: {', '.join(wrong)}{left_out}."
    if not isinstance(reads, int) or reads < enough:
        return State.UNKNOWN, too_few_reads(reads, enough, figures["keys_skipped"])
    open_ones = f", {grouped(figures['undecided'])} undecided" if figures["undecided"] else ""
    return State.HOLDS, f"No stale read in {grouped(reads)}{open_ones}{left_out}."


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
    properties=(
        Property(name="stale", words="stale reads", figure="stale", of="reads"),
        Property(name="staleBehind", words="stale reads at most behind by", figure="max_behind_seconds", unit="s"),
        Property(name="missingLost", words="reads that miss lost writes", figure="missing_lost", of="reads"),
        Property(name="dirty", words="reads of what was rolled back", figure="dirty", of="reads"),
    ),
)
