"""Availability: when clients were not served, and how long until they were again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from caplab.model.fields import Json
from caplab.model.history import Table

from .columns import Integers
from .finding import ENOUGH, Context, Finding, State
from .outages import find
from .phases import PHASES, Sorted, phase_figures, phase_of, sort_outages
from .series import Series, split

NAME = "availability"


@dataclass(frozen=True, slots=True)
class _Seen:
    """A series, its outages and phases; failover_ns counts from the injection, and is at least so if open."""

    series: Series
    parts: Sorted
    phase: Integers
    failover_ns: int

    @property
    def open(self) -> bool:
        return any(outage.end_ns is None for outage in self.parts.failover)


def check(history: Table, context: Context) -> Finding:
    """Find every outage (outages.find), the failover time, and how operations fared by phase (phases.phase_of).

    Failover time: from the injection to the end of the last outage that began before heal, 0 if none
    reached past the injection; of the worst and the best vantage, and the worst of each route. Later outages
    are counted apart. failover_seconds is among lower_bounds when the history ended in that outage.
    Scans are left out.

    Violated by any outage (what a fault may cost is for an expectation to say). Unknown with fewer than
    ENOUGH operations, or when a vantage that was heard before the injection scheduled nothing after it.
    """
    every = list(split(history))
    total = sum(len(series.acked) for series in every)
    if total < ENOUGH:
        return Finding(NAME, State.UNKNOWN, f"Only {total} operations; {ENOUGH} are needed to speak of availability.")
    origin_ns = min(int(series.scheduled_ns[0]) for series in every)
    end_ns = max(series.end_ns for series in every)
    seen = [_look(series, context, origin_ns, end_ns) for series in every]
    figures = _figures(seen)
    if silent := _silent(every, context.injected_ns):
        reason = f"Nothing was scheduled after the injection by vantage {', '.join(silent)}."
        return Finding(NAME, State.UNKNOWN, reason, figures)
    return Finding(NAME, *_judge(figures, context), figures)


def _look(series: Series, context: Context, origin_ns: int, end_ns: int) -> _Seen:
    injected, healed = context.injected_ns, context.healed_ns
    # Windows are counted from the injection where there is one, so that none straddles it.
    outages = find(series, origin_ns if injected is None else injected, injected)
    parts = sort_outages(outages, injected, healed)
    phase = phase_of(series, parts, injected, healed, context.settled_ns)
    failover_ns = 0
    if injected is not None and parts.failover:
        last = parts.failover[-1].end_ns
        failover_ns = (end_ns if last is None else last) - injected
    return _Seen(series, parts, phase, failover_ns)


def _silent(every: Iterable[Series], injected_ns: int | None) -> list[str]:
    """Vantages without an operation after the injection: what they would have seen is not known."""
    if injected_ns is None:
        return []
    heard = {series.vantage for series in every if series.scheduled_ns[-1] >= injected_ns}
    return sorted({series.vantage for series in every} - heard)


def _figures(seen: Sequence[_Seen]) -> dict[str, Json]:
    by_vantage = {name: _worst(group) for name, group in _grouped(seen, "vantage").items()}
    worst = max(by_vantage, key=lambda name: (by_vantage[name], name))
    best = min(by_vantage, key=lambda name: (by_vantage[name], name))
    return {
        **_summary(seen),
        "worst_vantage": worst,
        "best_vantage": best,
        "best_failover_seconds": by_vantage[best],
        "by_route": {name: _summary(group) for name, group in _grouped(seen, "route").items()},
        "series": [_series_figures(one) for one in seen],
        "phases": _phases(seen),
    }


def _grouped(seen: Sequence[_Seen], label: str) -> dict[str, list[_Seen]]:
    def key(one: _Seen) -> str:
        return str(getattr(one.series, label))

    return {name: list(group) for name, group in groupby(sorted(seen, key=key), key)}


def _worst(seen: Iterable[_Seen]) -> float:
    return max(one.failover_ns for one in seen) / 1e9


def _summary(seen: Sequence[_Seen]) -> dict[str, Json]:
    operations = sum(len(one.series.acked) for one in seen)
    acked = sum(int(one.series.acked.sum()) for one in seen)
    earlier, failover, later = (
        sum(len(getattr(one.parts, name)) for one in seen) for name in ("earlier", "failover", "later")
    )
    return {
        "operations": operations,
        "acked": acked,
        "ack_ratio": acked / operations,
        "failover_seconds": _worst(seen),
        "outages": earlier + failover + later,
        "earlier_outages": earlier,
        "later_outages": later,
        "lower_bounds": ["failover_seconds"] if any(one.open for one in seen) else [],
    }


def _series_figures(one: _Seen) -> dict[str, Json]:
    outages = (*one.parts.earlier, *one.parts.failover, *one.parts.later)
    return {
        "vantage": one.series.vantage,
        "op": one.series.op,
        "route": one.series.route,
        "failover_seconds": one.failover_ns / 1e9,
        "outages": [{"start_ns": outage.start_ns, "end_ns": outage.end_ns} for outage in outages],
    }


def _phases(seen: Sequence[_Seen]) -> list[Json]:
    """A row for each op, route and phase that has operations: reads and writes must not share a quantile."""
    rows: list[Json] = []
    for (op, route), group in _by_op_and_route(seen).items():
        phase = np.concatenate([one.phase for one in group])
        acked = np.concatenate([one.series.acked for one in group])
        latency_ns = np.concatenate([one.series.return_ns - one.series.scheduled_ns for one in group])
        for number, name in enumerate(PHASES):
            here = phase == number
            if here.any():
                rows.append(
                    {"op": op, "route": route, "phase": name, **phase_figures(acked[here], latency_ns[here & acked])}
                )
    return rows


def _by_op_and_route(seen: Sequence[_Seen]) -> dict[tuple[str, str], list[_Seen]]:
    groups: dict[tuple[str, str], list[_Seen]] = {}
    for one in seen:
        groups.setdefault((one.series.op, one.series.route), []).append(one)
    return groups


def _judge(figures: dict[str, Json], context: Context) -> tuple[State, str]:
    outages = figures["outages"]
    if not outages:
        return State.HOLDS, f"No outage in {figures['operations']} operations."
    if context.injected_ns is None:
        return State.VIOLATED, f"{outages} outages, without a fault."
    at_least = "at least " if figures["lower_bounds"] else ""
    return State.VIOLATED, (
        f"{outages} outages; failover took {at_least}{figures['failover_seconds']:.3f} s "
        f"as vantage {figures['worst_vantage']} saw it; {figures['later_outages']} outages began after heal."
    )
