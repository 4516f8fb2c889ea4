"""Where the failover's time went: the moments that are known of it, in their order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from caplab.check.finding import Context
from caplab.model.fields import Json
from caplab.verdict.served import Served

from .. import words
from ..headline import headline, were_or_was, who
from ..values import RunReport, listed, number


@dataclass(frozen=True, slots=True)
class Stage:
    """From one known moment to the next one, in seconds since the injection; until says what happened then."""

    begin_seconds: float
    end_seconds: float
    until: str


def stages_of(report: RunReport) -> list[Stage]:
    """Return the stages from the injection on, as the clients that the row judges saw them.

    There are none if there was no fault, or no outage.
    """
    injected_ns = Context.of(report.record).injected_ns
    served = headline(report).sides.judged
    if injected_ns is None or served is None or not served.outage.seconds:
        return []
    stages, begin = [], 0.0
    for moment, until in sorted(_moments(report, injected_ns, served)):
        if moment > begin:
            stages.append(Stage(begin, moment, until))
            begin = moment
    return stages


def _moments(report: RunReport, injected_ns: int, served: Served) -> list[tuple[float, str]]:
    clock, record, lasted = report.clock, report.record, served.outage.seconds
    again = f"{who(served, record)} {were_or_was(served)} served again"
    moments = [(lasted, "the history ended, not served again" if served.outage.at_least else again)]
    best, acks = number(report.figures("availability"), "best_failover_seconds"), _first_acks(report, served.zones)
    if best and best < lasted and not served.side:
        moments.append((best, "the first zone was served again for good"))
    if acks and min(acks) < lasted:
        moments.append((min(acks), "a first write was acknowledged to a client"))
    if clock is not None and clock.server_seconds is not None and 0 < clock.server_seconds < lasted:
        stamped = words.stamped(record.engine, clock.epoch)
        moments.append((clock.server_seconds, f"the first {stamped}, by the server's own clock"))
    if record.settled_ns is not None:
        moments.append(((record.settled_ns - injected_ns) / 1e9, "all members were back and caught up"))
    return moments


def _first_acks(report: RunReport, zones: Collection[str]) -> list[float]:
    """Return when each series of writes was first acked after the injection; only those of zones, if any are named."""
    series = listed(report.figures("availability"), "series")
    of_zones = [figures for figures in series if not zones or figures.get("vantage") in zones]
    adds = (number(figures, "first_ack_seconds") for figures in of_zones if figures.get("op") == "add")
    return [seconds for seconds in adds if seconds is not None and seconds > 0]


def stages_json(stages: Sequence[Stage]) -> list[Json]:
    """Return the rows of the chart."""
    return [
        {
            "begin": round(stage.begin_seconds, 3),
            "end": round(stage.end_seconds, 3),
            "seconds": round(stage.end_seconds - stage.begin_seconds, 3),
            "stage": f"until {stage.until}",
        }
        for stage in stages
    ]
