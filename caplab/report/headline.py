"""The headline of a run: verdict, cost and outage in people's words, the same wherever people read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from caplab.check import PROPERTIES
from caplab.check.checker import RATIO, SHARE
from caplab.check.finding import Context, State
from caplab.check.sides import ALL
from caplab.model.expectations import Promise
from caplab.model.runs import CONTROL, MAJORITY, MINORITY, RunRecord
from caplab.verdict import Judgement
from caplab.verdict.served import LaterOutage, Outage, Served, ServedSides, served_sides

from . import words
from .judged import measured, predicted
from .values import RunReport, nested, number

_MOST_COSTS = 4  # named in a headline
_LONGEST = 240  # characters of a title, and of each part of a cost
_UNTIL_SERVED = ("failoverTime", "writeOutage", "readOutage", "writesServed", "readsServed")  # told by the outage
NO_COST = (*_UNTIL_SERVED, "failovers", "unackedFound", "laterOutages", "lostWindow", "staleBehind")
_DISTINCT = 2.0  # an outage of writes so many times that of reads, or the other way round, is told apart


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeadline:
    """What people read first of a run.

    title: what was done, as a sentence. verdict: AS PROMISED, PROMISE BROKEN or NOT PROVEN. cost: what it cost clients,
    or why it proves nothing. sides: how long whom was not served. uneventful: a control in which nothing happened.
    """

    title: str
    state: State
    verdict: str
    cost: str
    sides: ServedSides
    served: str  # the same in a sentence; '' without a fault
    uneventful: bool = False

    @property
    def line(self) -> str:
        """Verdict and cost in one line, such as 'AS PROMISED: 7 of 5,307 acknowledged writes lost'."""
        return f"{self.cost}, {self.verdict}" if self.uneventful else f"{self.verdict}: {self.cost}"

    @property
    def outage(self) -> Outage | None:
        """How long the clients that the row judges were not served; None: no fault, or it is not known."""
        return self.sides.judged.outage if self.sides.judged else None


def headline(report: RunReport) -> RunHeadline:
    """Build the headline of a run. Pure."""
    sides = served_sides(report.record, report.verdict, report.findings)
    state, costs = report.verdict.state, _costs(report)
    uneventful = report.record.fault == CONTROL and state is State.HOLDS and not costs
    return RunHeadline(
        title=words.cut(words.one_line(report.record.experiment), _LONGEST),
        state=state,
        verdict=words.of_verdict(state),
        cost="nothing happened" if uneventful else _cost(report, costs),
        sides=sides,
        served=_served(report, sides),
        uneventful=uneventful,
    )


def _cost(report: RunReport, costs: Sequence[str]) -> str:
    """Return what a run cost, after what its verdict rests on if it is not valid."""
    judgements = report.verdict.judgements
    if report.verdict.state is State.HOLDS:
        any_lost = any(judgement.expected.property == "lost" and judgement.measured for judgement in judgements)
        parts = [*costs] if any_lost else [*costs, _nothing_lost(report)]
    elif report.verdict.state is State.VIOLATED:
        broken = [judgement for judgement in judgements if judgement.state is State.VIOLATED]
        others = [cost for cost in costs if cost not in [_case(judgement) for judgement in broken]]
        parts = [*(_broken(judgement, report.record) for judgement in broken), *others]
    else:
        doubt = _doubtful(report)
        others = [cost for cost in costs if doubt is None or cost != _case(doubt)]
        told = "" if doubt is None else (_beside if doubt.measured is None else _broken)(doubt, report.record)
        parts = [told or _reason(report), *others]
    more = len(parts) - _MOST_COSTS
    shown = parts[:_MOST_COSTS] if more > 0 else parts
    parts = [words.cut(words.one_line(part), _LONGEST) for part in shown]
    return ", ".join(parts) + (f", and {more} more" if more > 0 else "")


def _costs(report: RunReport) -> list[str]:
    """Return what clients paid, by the properties that the row names, overall before the sides of a cut.

    Without a fault only what is promised to happen, or not to, is an event: a cache loads its keys at any time.
    """
    ignored = (Promise.POSSIBLE, Promise.BOUNDED) if report.record.fault == CONTROL else ()
    by_property: dict[str, list[Judgement]] = {}
    for judgement in report.verdict.judgements:
        expected = judgement.expected
        if judgement.measured and expected.property in PROPERTIES and expected.promise not in ignored:
            by_property.setdefault(expected.property, []).append(judgement)
    costs = []
    for name, judgements in by_property.items():
        overall = [judgement for judgement in judgements if judgement.expected.side is None]
        costs += [_case(judgement) for judgement in overall[:1] or judgements if name not in NO_COST]
    return costs


def _case(judgement: Judgement) -> str:
    """Return a figure as what clients paid, such as '7 of 5,307 acknowledged writes lost'."""
    name, value = judgement.expected.property, judgement.measured or 0
    where = f" on the {judgement.expected.side}" if judgement.expected.side else ""
    noun = words.of_property(name)
    if name == "metastable":
        return noun
    if name == "lost":
        return f"{_of(judgement)} acknowledged writes lost{where}"
    if judgement.unit == SHARE:
        return f"{words.ratio(value)} of operations not acknowledged under the fault"
    if judgement.unit:
        figure = words.of_unit(value, RATIO) if judgement.unit == RATIO else words.short_seconds(value)
        return f"{noun}{where}: {'at least ' if judgement.at_least else ''}{figure}"
    return f"1 case of {noun}{where}" if value == 1 else f"{words.counted(value)} {noun}{where}"


def _of(judgement: Judgement) -> str:
    value = words.counted(judgement.measured or 0)
    return value if judgement.of is None else f"{value} of {words.counted(judgement.of)}"


def _nothing_lost(report: RunReport) -> str:
    acked = report.measured("durability", "acked")
    if acked is None:
        return "whether acknowledged writes were lost was not measured"
    return f"none of {words.counted(acked)} acknowledged writes lost"


def _broken(judgement: Judgement, record: RunRecord) -> str:
    """Return a figure that breaks its promise, beside the promise."""
    return _beside(judgement, record) if judgement.unit else f"{_case(judgement)} (promised: {_promise(judgement)})"


def _beside(judgement: Judgement, record: RunRecord) -> str:
    figure = measured(judgement).split(" (<")[0]
    return f"{words.of_expected(judgement.expected, record.has_primary)} {figure} (promised: {_promise(judgement)})"


def _promise(judgement: Judgement) -> str:
    return "none" if judgement.expected.promise is Promise.FORBIDDEN else predicted(judgement).split("  (")[0]


def _doubtful(report: RunReport) -> Judgement | None:
    """Return the property for which a run proves nothing; None if it is doubted as a whole."""
    verdict = report.verdict
    wrong = [judgement for judgement in verdict.judgements if judgement.state is not State.HOLDS]
    if len(verdict.reasons) > len(wrong) or not wrong:
        return None
    return next((judgement for judgement in wrong if judgement.state is State.UNKNOWN), wrong[0])


def _reason(report: RunReport) -> str:
    reasons = report.verdict.reasons
    return reasons[0].rstrip(".") if reasons else "no reason given"


def _served(report: RunReport, sides: ServedSides) -> str:
    """Describe how long whom was not served, the judged side first."""
    record = report.record
    if Context.of(record).injected_ns is None:
        return ""
    if sides.judged is None:
        return "how long clients were not served was not measured"
    parts = [_again(sides.judged, record) + _and_later(sides.judged)]
    if sides.other is not None:
        parts.append((_silent(sides.other, record) or _again(sides.other, record)) + _and_lost(report, sides.other))
    return "; ".join(parts)


def _and_lost(report: RunReport, served: Served) -> str:
    """Tell how many of their acknowledged writes the clients of a side lost; '' if none, or it is not known."""
    of_side = nested(nested(nested(report.figures("durability"), "by_side"), served.side), ALL)
    lost, acked = number(of_side, "lost"), number(of_side, "acked")
    if not lost or not acked or not report.is_conclusive("durability"):
        return ""
    return f", and lost {words.counted(lost)} of {words.counted(acked)} acknowledged writes"


def _and_later(served: Served) -> str:
    """Tell of an outage of writes after the fault's end, if it was no mere blink; '' without one."""
    if served.later is None:
        return ""
    later = served.later
    where = "" if later.everywhere else f" in zone{'s' if len(later.zones) > 1 else ''} {', '.join(later.zones)}"
    return f", and after the heal could not write{where} {lasting(later)}"


def lasting(later: LaterOutage) -> str:
    """Say how long an outage after the heal lasted, such as 'for another 2.61 s', or 'until the end' of the history."""
    return "until the end" if math.isinf(later.seconds) else f"for another {words.short_seconds(later.seconds)}"


def who(served: Served, record: RunRecord) -> str:
    """Name the clients of a side, such as 'the cut-off zone'; 'clients' are all of them."""
    if served.side == MINORITY:
        is_cut = any(window.kind == "partition" for window in record.fault_windows)
        return f"the {'cut-off ' if is_cut else ''}zone{_plural(served)}{'' if is_cut else ' that was hit'}"
    return "the majority" if served.side == MAJORITY else f"the {served.side}" if served.side else "clients"


def were_or_was(served: Served) -> str:
    """Return the verb that fits `who`."""
    return "were" if not served.side or (served.side == MINORITY and _plural(served)) else "was"


def _plural(served: Served) -> str:
    return "s" if len(served.zones) > 1 else ""


def _again(served: Served, record: RunRecord) -> str:
    """Say when clients were served again; writes and reads apart if one was out for much longer."""
    clients, writes, reads = who(served, record), served.writes, served.reads
    if served.outage.seconds and writes and reads and _apart(writes.seconds, reads.seconds):
        return f"{clients} {_active('write', 'wrote', writes)} and {_active('read', 'read', reads)}"
    were = were_or_was(served)
    outage = served.outage
    if not outage.seconds:
        return f"{clients} {were} served throughout the fault"
    seconds = words.short_seconds(outage.seconds)
    return f"{clients} {were} {'not served again within' if outage.at_least else 'served again after'} {seconds}"


def _silent(served: Served, record: RunRecord) -> str:
    """Say how long no write was acked; '' if some were during the fault."""
    silence, reads = served.silence, served.reads
    if silence is None or served.writes is None:
        return ""
    at_least = "at least " if silence.at_least else ""
    sentence = f"{who(served, record)} wrote nothing for {at_least}{words.short_seconds(silence.seconds)}"
    if reads is None or not _apart(served.writes.seconds, reads.seconds):
        return sentence
    return f"{sentence} and {_active('read', 'read', reads)}"


def _apart(one: float, other: float) -> bool:
    least, most = sorted((one, other))
    return most > _DISTINCT * least


def _active(verb: str, past: str, outage: Outage) -> str:
    if not outage.seconds:
        return f"{past} throughout"
    seconds = words.short_seconds(outage.seconds)
    return f"did not {verb} again within {seconds}" if outage.at_least else f"{past} again after {seconds}"
