"""Two independent clocks of one failover, compared."""

from __future__ import annotations

from collections.abc import Sequence

from caplab.check.epochs import NAME as EPOCHS
from caplab.check.finding import Context, Finding
from caplab.model.runs import CACHE, RunRecord

from . import words
from .values import ClockCheck, listed, number

_WRITES = "add"  # the source of the probers' figure


def clock_check(record: RunRecord, findings: Sequence[Finding]) -> ClockCheck | None:
    """Compare the server's stamp of its first complete commit after the fault with the first ack that probers saw.

    Both count from the injection. None for a run without a fault, without a primary (no epoch follows another), and for
    a cache, whose runs record no stamp.
    """
    injected_ns = Context.of(record).injected_ns
    if injected_ns is None or not record.has_primary or record.engine == CACHE:
        return None
    acks = [
        seconds
        for finding in findings
        for series in listed(finding.figures, "series")
        if series.get("op") == _WRITES and (seconds := number(series, "first_ack_seconds")) is not None
    ]
    probe_seconds = min(acks, default=None)
    commit = record.first_commit
    if commit is None:
        return ClockCheck("", None, probe_seconds, f"the server has no {words.stamped(record.engine, '')}")
    committed_ns = commit.unix_ns - record.wall_anchor.unix_ns + record.wall_anchor.monotonic_ns
    begun = _epochs_begun(findings)
    if begun > 1:  # the server's stamp is of the last of them, the probers' figure of the first
        problem = f"not comparable: {begun:.0f} new epochs followed each other"
        return ClockCheck(commit.epoch, (committed_ns - injected_ns) / 1e9, None, problem)
    problem = "" if acks else "the probes saw no outage"
    return ClockCheck(commit.epoch, (committed_ns - injected_ns) / 1e9, probe_seconds, problem)


def _epochs_begun(findings: Sequence[Finding]) -> float:
    """Return how many epochs began to ack after the injection; of an older lab's findings, how many there were."""
    figures = next((finding.figures for finding in findings if finding.property == EPOCHS), {})
    begun = number(figures, "begun_after_injection")
    return (number(figures, "changes") or 0) if begun is None else begun
