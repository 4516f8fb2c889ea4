"""How long the clients of a run were not served: those that its row judges, and those on the other side of a cut."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from caplab.check.finding import Context, Finding, State
from caplab.check.sides import ALL
from caplab.model.fields import Json
from caplab.model.history import READS
from caplab.model.runs import MAJORITY, MINORITY, RunRecord

from . import Judgement, Verdict

LATER_SECONDS = 1.0  # shorter ones are blinks
_TIMES = ("failoverTime", "writeOutage", "readOutage")  # properties that name whose time counts, the first one first

Figures = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Outage:
    """Seconds from the injection until clients were served again, 0 if they always were; at_least: a lower bound."""

    seconds: float
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class LaterOutage:
    """The longest outage of writes that began after heal, by any route; math.inf seconds: the history ended in it.

    zones: those that had one of LATER_SECONDS or more; everywhere: all zones of the side had.
    """

    seconds: float
    zones: tuple[str, ...]
    everywhere: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """How clients were served: those in zones, on a side of the cut, by a route ('': all of them).

    outage is of all their operations, writes and reads are of these alone; None: there were none, or it is not known.
    silence is how long none of their writes was acked, if none was during the whole fault; later: of their writes after
    heal, None if there was none.
    """

    side: str = ""
    zones: tuple[str, ...] = ()
    route: str = ""
    outage: Outage
    writes: Outage | None = None
    reads: Outage | None = None
    silence: Outage | None = None
    later: LaterOutage | None = None


@dataclass(frozen=True, slots=True)
class ServedSides:
    """The clients that the row judges, and those on the other side of the cut; None: there are none, or not known."""

    judged: Served | None = None
    other: Served | None = None


def served_sides(record: RunRecord, verdict: Verdict, findings: Iterable[Finding]) -> ServedSides:
    """Return how each side was served. Pure.

    The judged side is that whose times the row names, by the route that it names; of several sides the majority, and
    where it names no time, the majority of a cut, or all clients. Nothing is known without a fault, or without a
    conclusive finding of availability.
    """
    finding = next((finding for finding in findings if finding.property == "availability"), None)
    if Context.of(record).injected_ns is None or finding is None or finding.state is State.UNKNOWN:
        return ServedSides()
    side, route = _judged(verdict.judgements, record.sides)
    judged = _served(finding.figures, record, side, route)
    others = [name for name in record.sides if name != side] if side else []
    other = _served(finding.figures, record, others[0], "") if others else None
    return ServedSides(judged or _served(finding.figures, record, "", ""), other)


def _judged(judgements: Sequence[Judgement], sides: Iterable[str]) -> tuple[str, str]:
    """Return the side and the route whose time the row judges; '' for all."""
    of_time = [judgement.expected for judgement in judgements if judgement.expected.property in _TIMES]
    named = {expected.side for expected in of_time if expected.side} & set(sides) or set(sides)
    side = next((name for name in (MAJORITY, MINORITY) if name in named), "")
    of_side = [expected for expected in of_time if (expected.side or "") == side]
    of_side.sort(key=lambda expected: _TIMES.index(expected.property))
    return side, next((expected.route for expected in of_side if expected.route), "")


def _served(figures: Figures, record: RunRecord, side: str, route: str) -> Served | None:
    """Return how the clients of a side and route were served; None if there are no figures of them."""
    of_side = _object(_object(figures, "by_side"), side) if side else {ALL: figures, **_object(figures, "by_route")}
    of_route = _object(of_side, route or ALL)
    outage = _outage(of_route, "failover_seconds")
    if outage is None:
        return None
    zones = record.sides.get(side, ())
    writes = _outage(of_route, "write_outage_seconds")
    silence = None
    if writes is not None and of_route.get("writes_acked_in_fault") == 0:
        silence = _silence(figures, zones, route) or Outage(writes.seconds, at_least=True)
    reads = _outage(of_route, "read_outage_seconds")
    return Served(
        side=side,
        zones=zones,
        route=route,
        outage=outage,
        writes=writes,
        reads=reads,
        silence=silence,
        later=_later(figures, zones, Context.of(record).healed_ns),
    )


def _later(figures: Figures, zones: Sequence[str], healed_ns: int | None) -> LaterOutage | None:
    """Return the longest outage of writes in these zones that began after heal; None if all were blinks."""
    if healed_ns is None:
        return None
    series = _writes(figures, zones)
    longest: dict[str, float] = {}
    for row in series:
        zone = str(row.get("vantage"))
        longest[zone] = max(longest.get(zone, 0.0), *_lasted(row, healed_ns), 0.0)
    hit = tuple(sorted(zone for zone, seconds in longest.items() if seconds >= LATER_SECONDS))
    return LaterOutage(max(longest.values()), hit, everywhere=len(hit) == len(longest)) if hit else None


def _lasted(series: Figures, healed_ns: int) -> list[float]:
    """Return how many seconds each outage of a series lasted that began after heal."""
    return [
        math.inf if end is None else (end - start) / 1e9
        for outage in _objects(series, "outages")
        if isinstance(start := outage.get("start_ns"), int) and start >= healed_ns
        if isinstance(end := outage.get("end_ns"), int) or end is None
    ]


def _writes(figures: Figures, zones: Sequence[str]) -> list[Figures]:
    """Return the series of writes in these zones, of all zones if none is named."""
    return [
        row
        for row in _objects(figures, "series")
        if row.get("op") not in READS and (not zones or row.get("vantage") in zones)
    ]


def _silence(figures: Figures, zones: Sequence[str], route: str) -> Outage | None:
    """Return the time to the first write that was acked after the injection; None if none was."""
    firsts = [
        float(first)
        for row in _writes(figures, zones)
        if not route or row.get("route") == route
        if isinstance(first := row.get("first_ack_seconds"), int | float)
    ]
    return Outage(min(firsts)) if firsts else None


def _outage(figures: Figures, name: str) -> Outage | None:
    seconds, lower_bounds = figures.get(name), figures.get("lower_bounds")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    return Outage(seconds, isinstance(lower_bounds, Sequence) and name in lower_bounds)


def _objects(figures: Figures, name: str) -> list[Figures]:
    value = figures.get(name)
    rows = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    return [row for row in rows if isinstance(row, Mapping)]


def _object(figures: Figures, name: str) -> Figures:
    value = figures.get(name)
    return value if isinstance(value, Mapping) else {}
