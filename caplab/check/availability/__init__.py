"""Availability: when clients were not served, and how long until they were again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from caplab.check.checker import SHARE, Checker, Property
from caplab.check.columns import NEVER, among, integers
from caplab.check.finding import Context, Finding, State
from caplab.check.series import Series, split
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.nouns import are, counted

from .fault import InFault
from .figures import SeriesAvailability, figures_of
from .outages import Absence, absences, find, first_ack_ns
from .phases import Sorted, phase_of, sort_outages

NAME = "availability"


def check(history: Table, context: Context) -> Finding:
    """Find every outage (outages.find), the failover time, and how operations fared by phase (phases.phase_of).

    The failover time is from the injection to the end of the last outage that began before heal, 0 if none reached past
    the injection. It is given for the worst and the best vantage, and for the worst of each route, over the series that
    show how the cluster as a whole served (SeriesAvailability.of_cluster); that of the other series is
    member_outage_seconds. write_outage_seconds and read_outage_seconds are the same, for writes and for reads alone.
    Later outages are counted separately. Each of the three is among lower_bounds if it is not known when that outage
    ended: the history ended in it, or its clients were away (outages.absences). What a client that died may have sent
    is left out.
    Each series' first_ack_seconds is for a comparison with another clock, see outages.first_ack_ns.

    Figures of the fault itself, from the injection to heal (InFault; None without a fault): writes_served_seconds and
    reads_served_seconds, until the return of the last ack; unacked_share; writes_acked_in_fault. by_side has all these
    for each side of a cut, for all its routes (sides.ALL) and for each. Scans are left out, and so is what was
    scheduled before context.steady_ns, while clients connect.

    Violated by any outage (what a fault may cost is a matter of expectations). Unknown with fewer than context.enough
    operations, or if a vantage with operations before the injection scheduled none after it.
    """
    whole = list(split(history if context.standalone else _recorded(history)))
    every = (
        whole if context.steady_ns is None else [part for series in whole if (part := series.since(context.steady_ns))]
    )
    total = sum(len(series.acked) for series in every)
    if total < context.enough:
        few = f"Only {counted(total, 'operation')}"
        reason = f"{few}; {context.enough:,} {are(context.enough)} needed to judge availability."
        return Finding(property=NAME, state=State.UNKNOWN, reason=reason)
    origin_ns = min(int(series.scheduled_ns[0]) for series in every)
    away = {
        vantage: absences([series for series in every if series.vantage == vantage])
        for vantage in {series.vantage for series in every}
    }
    availabilities = [_availability_of(series, context, origin_ns, away[series.vantage]) for series in every]
    figures = {
        **figures_of(availabilities, context.sides),
        "warm_up_operations": sum(len(series.acked) for series in whole) - total,
    }
    if silent := _silent(every, context.injected_ns):
        reason = f"Nothing was scheduled after the injection by vantage {', '.join(silent)}."
        return Finding(property=NAME, state=State.UNKNOWN, reason=reason, figures=figures)
    state, reason = _judge(figures, context)
    return Finding(property=NAME, state=state, reason=reason, figures=figures)


def applies(history: Table) -> str:
    """Return why there is nothing to check here, or ''."""
    return "" if (~among(history, "op", ["scan"])).any() else "all operations are scans"


def _recorded(history: Table) -> Table:
    """Leave out what a client that died may have sent, or not: it says nothing of who was served."""
    made_up = (integers(history, "session", 0) < 0) & (integers(history, "return_ns", NEVER) == NEVER)
    return history.filter(~made_up) if made_up.any() else history


def _availability_of(series: Series, context: Context, origin_ns: int, away: Sequence[Absence]) -> SeriesAvailability:
    injected, healed = context.injected_ns, context.healed_ns
    # Windows are counted from the injection where there is one, so that none straddles it.
    outages = find(series, origin_ns if injected is None else injected, injected, away)
    parts = sort_outages(outages, injected, healed)
    phase = phase_of(series, parts, injected, healed, context.settled_ns)
    failover_ns = 0
    if injected is not None and parts.failover:
        failover_ns = max(0, parts.failover[-1].seen_ns - injected)
    first_ack_ns = _first_ack_after_ns(series, parts, injected)
    in_fault = None if injected is None else InFault.of(series, injected, healed)
    return SeriesAvailability(
        series=series,
        parts=parts,
        phase=phase,
        failover_ns=failover_ns,
        first_ack_ns=first_ack_ns,
        in_fault=in_fault,
        has_primary=context.has_primary,
    )


def _first_ack_after_ns(series: Series, parts: Sorted, injected_ns: int | None) -> int | None:
    """Return the time from the injection to the first ack of an operation invoked in the outage; None without one."""
    if injected_ns is None:
        return None
    acked_ns = first_ack_ns(series, parts.failover, injected_ns)
    return None if acked_ns is None else acked_ns - injected_ns


def _silent(every: Iterable[Series], injected_ns: int | None) -> list[str]:
    """Return the vantages without an operation after the injection: what they would have observed is not known."""
    if injected_ns is None:
        return []
    heard = {series.vantage for series in every if series.scheduled_ns[-1] >= injected_ns}
    return sorted({series.vantage for series in every} - heard)


def _judge(figures: dict[str, Json], context: Context) -> tuple[State, str]:
    outages = figures["outages"]
    if not outages:
        return State.HOLDS, f"No outage in {counted(figures['operations'], 'operation')}."
    if context.injected_ns is None:
        return State.VIOLATED, f"{counted(outages, 'outage')}, without a fault."
    at_least = "at least " if figures["lower_bounds"] else ""
    took = "failover took" if context.has_primary else "the longest took"
    return State.VIOLATED, (
        f"{counted(outages, 'outage')}; {took} {at_least}{figures['failover_seconds']:.3f} s "
        f"at vantage {figures['worst_vantage']}; {counted(figures['later_outages'], 'outage')} began after heal."
    )


def _applies_to_file(columns: Collection[str]) -> str:
    has_schedule = "scheduled_ns" in columns
    return "" if has_schedule else "the file has no scheduled_ns: how long clients waited is not known"


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
    properties=(
        Property(
            name="failoverTime",
            words="failover time",
            figure="failover_seconds",
            unit="s",
            without_primary="outage time",
        ),
        Property(name="writeOutage", words="outage of writes", figure="write_outage_seconds", unit="s"),
        Property(name="readOutage", words="outage of reads", figure="read_outage_seconds", unit="s"),
        Property(name="outages", words="outages", figure="outages"),
        Property(name="laterOutages", words="outages after heal", figure="later_outages"),
        Property(name="writesServed", words="writes served into the fault", figure="writes_served_seconds", unit="s"),
        Property(name="readsServed", words="reads served into the fault", figure="reads_served_seconds", unit="s"),
        Property(name="unackedShare", words="share unacked under the fault", figure="unacked_share", unit=SHARE),
    ),
    of_time=True,
    applies_to_file=_applies_to_file,
)
