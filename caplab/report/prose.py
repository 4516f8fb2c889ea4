"""The sentences of a run's report: the fault's targets, the second clock, and how long the run's steps took."""

from __future__ import annotations

from collections.abc import Sequence

from caplab.model.runs import CONTROL, FaultWindow, RunRecord

from . import words
from .values import Figures, RunReport, listed, number, text

_SHOWN = 3  # lines of evidence of one window


def faults(record: RunRecord) -> list[str]:
    """Describe each fault window in a sentence."""
    if record.fault_windows:
        return [_fault(window, record) for window in record.fault_windows]
    return ["no fault: a control run"] if record.fault == CONTROL else [f"no fault: no {record.fault} is recorded"]


def _fault(window: FaultWindow, record: RunRecord) -> str:
    lasted = "not healed"
    if window.healed_ns is not None:
        lasted = f"for {words.seconds((window.healed_ns - window.injected_ns) / 1e9)}"
    evidence = ", ".join(_first(window.evidence)) or "nothing seen"
    proof = evidence if window.proven else f"NO EVIDENCE that it was live ({evidence})"
    when = words.wall_time(window.injected_ns, record.wall_anchor)
    return words.one_line(words.DOT.join((f"{window.kind} of {window.target}", f"at {when}", lasted, proof)))


def _first(evidence: Sequence[str]) -> list[str]:
    """Return the first lines of evidence: a partition has one for every pair of addresses."""
    left = len(evidence) - _SHOWN
    return [*evidence[:_SHOWN], f"and {left} more lines in run.json"] if left > 1 else list(evidence)


def second_clock(report: RunReport) -> str:
    """Compare the server's stamp with the probers' figure; '' if there is no such clock."""
    clock = report.clock
    if clock is None:
        return ""
    commit = f"second clock: first {words.stamped(report.record.engine, clock.epoch)}"
    server, probe = clock.server_seconds, clock.probe_seconds
    sentence = f"{commit}: no stamp from the server"
    if server is not None:
        sentence = f"{commit} at {_signed(server)} by the server's own stamp"
    if probe is not None:
        sentence += f"; probes' first ack at {_signed(probe)}"
    elif server is None or not clock.problem:
        sentence += "; probes' first ack not seen"
    if server is not None and probe is not None:
        sentence += f": {1000 * abs(probe - server):,.0f} ms apart"
    return words.one_line(f"{sentence} ({clock.problem})" if clock.problem else sentence)


def _signed(seconds: float) -> str:
    return f"{'' if seconds < 0 else '+'}{words.seconds(seconds)}"


def own_copies(report: RunReport) -> str:
    """Describe how many acked values each member's own copy lacks, before the deciding scan; '' if unknown.

    A member that was down lacks what the others keep for it (hints), and what repair has not fixed yet.
    """
    members = listed(report.figures("durability"), "by_member")
    if not members:
        return ""
    parts = (f"{words.one_line(text(member, 'server'))} {_lacking(member)}" for member in members)
    acked = words.counted(number(report.figures("durability"), "acked") or 0)
    return f"acked values that each member's own copy lacks, of {acked}: {words.DOT.join(parts)}"


def _lacking(member: Figures) -> str:
    lacking = number(member, "lacking")
    return words.UNKNOWN if lacking is None else words.counted(lacking)


def instrument(report: RunReport) -> str:
    """Describe how punctual the probers themselves were; '' if it is not known."""
    figures = report.figures("schedule")
    on_time, p99 = number(figures, "on_time_ratio"), number(figures, "late_p99_seconds")
    parts = []
    if on_time is not None and p99 is not None:
        counted = words.counted(number(figures, "operations") or 0)
        parts.append(
            f"{on_time:.2%} of {counted} operations in the steady state started within 5 ms (p99 {p99 * 1000:.1f} ms)"
        )
    if cores := report.record.prober_cores:
        parts.append(", ".join(f"zone {vantage} {taken:.2f} core" for vantage, taken in sorted(cores.items())))
    stalls = sorted(report.record.prober_standstills.items())
    parts += [f"the event loop of zone {vantage} stalled for {words.seconds(stalled)}" for vantage, stalled in stalls]
    return f"probers: {words.DOT.join(parts)}" if parts else ""


def stages(report: RunReport) -> str:
    """Describe how long each step of the run took; '' if it was not recorded."""
    if not report.seconds:
        return ""
    parts = words.DOT.join(f"{words.one_line(stage)} {words.seconds(took)}" for stage, took in report.seconds.items())
    in_all = sum(report.seconds.values())
    sentence = f"the whole run, step by step: {parts}{words.DOT}in all {words.seconds(in_all)}"
    faulty = _fault_and_recovery_seconds(report.record)
    return (
        sentence
        if faulty is None
        else f"{sentence}{words.DOT}outside fault and recovery {words.seconds(in_all - faulty)}"
    )


def _fault_and_recovery_seconds(record: RunRecord) -> float | None:
    """Return the time from the first injection until everything had settled; None if either is not known."""
    if not record.fault_windows or record.settled_ns is None:
        return None
    return (record.settled_ns - min(window.injected_ns for window in record.fault_windows)) / 1e9
