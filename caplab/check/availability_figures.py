"""The figures of availability: in all, for each route, and for each vantage, op and route."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from caplab.model.fields import Json

from .columns import Integers, Mask
from .phases import PHASES, Sorted, phase_figures
from .series import Series

_MEMBERS = ("direct", "replica")  # routes on which reads take the members in turn


@dataclass(frozen=True, slots=True)
class Seen:
    """A series, its outages and phases; times count from the injection, failover_ns is at least so if open."""

    series: Series
    parts: Sorted
    phase: Integers
    failover_ns: int
    first_ack_ns: int | None

    @property
    def needs_primary(self) -> bool:
        """Whether its operations go where a primary is wanted.

        Reads straight to members in turn want none: a dead member is an outage of theirs, and no failover.
        Writes to all members in turn are refused by most of them at any time.
        """
        return self.series.route != "any" and not (self.series.op == "read" and self.series.route in _MEMBERS)

    @property
    def open(self) -> bool:
        """Whether the history ended in the outage that makes up the failover time."""
        return any(outage.end_ns is None for outage in self.parts.failover)


def figures_of(seen: Sequence[Seen]) -> dict[str, Json]:
    """All of them, as docs/checkers.md lists them; there is at least one series."""
    by_vantage = {name: _worst(_telling(group)) for name, group in _grouped(seen, "vantage").items()}
    worst = max(by_vantage, key=lambda name: (by_vantage[name], name))
    best = min(by_vantage, key=lambda name: (by_vantage[name], name))
    return {
        **_summary(seen),
        "worst_vantage": worst,
        "best_vantage": best,
        "best_failover_seconds": by_vantage[best],
        "by_route": {
            name: {**_summary(group), "phases": _phases_by_op(group)} for name, group in _grouped(seen, "route").items()
        },
        "series": [_series_figures(one) for one in seen],
        "phases": [{**_labels(one), **row} for one in seen for row in _phases([one])],
    }


def _grouped(seen: Sequence[Seen], label: str) -> dict[str, list[Seen]]:
    def key(one: Seen) -> str:
        return str(getattr(one.series, label))

    return {name: list(group) for name, group in groupby(sorted(seen, key=key), key)}


def _telling(seen: Sequence[Seen]) -> Sequence[Seen]:
    """Those that tell of a failover; where there are none, all there is."""
    return [one for one in seen if one.needs_primary] or seen


def _worst(seen: Iterable[Seen]) -> float:
    return max((one.failover_ns for one in seen), default=0) / 1e9


def _summary(seen: Sequence[Seen]) -> dict[str, Json]:
    earlier, failover, later = (
        sum(len(getattr(one.parts, name)) for one in seen) for name in ("earlier", "failover", "later")
    )
    return {
        **_acks([one.series.acked for one in seen]),
        "failover_seconds": _worst(_telling(seen)),
        "member_outage_seconds": _worst(one for one in seen if not one.needs_primary),
        "outages": earlier + failover + later,
        "earlier_outages": earlier,
        "later_outages": later,
        "lower_bounds": _lower_bounds(_telling(seen)),
    }


def _acks(acked: Sequence[Mask]) -> dict[str, Json]:
    operations = sum(len(one) for one in acked)
    count = sum(int(one.sum()) for one in acked)
    return {"operations": operations, "acked": count, "ack_ratio": count / operations}


def _lower_bounds(seen: Iterable[Seen]) -> list[Json]:
    return ["failover_seconds"] if any(one.open for one in seen) else []


def _labels(one: Seen) -> dict[str, Json]:
    return {"vantage": one.series.vantage, "op": one.series.op, "route": one.series.route}


def _series_figures(one: Seen) -> dict[str, Json]:
    outages = (*one.parts.earlier, *one.parts.failover, *one.parts.later)
    return {
        **_labels(one),
        **_acks([one.series.acked]),
        "failover_seconds": one.failover_ns / 1e9,
        "first_ack_seconds": None if one.first_ack_ns is None else one.first_ack_ns / 1e9,
        "outages": [{"start_ns": outage.start_ns, "end_ns": outage.end_ns} for outage in outages],
        "lower_bounds": _lower_bounds([one]),
    }


def _phases_by_op(seen: Sequence[Seen]) -> list[Json]:
    """For each op and phase, over all vantages: reads and writes must not share a quantile."""
    return [{"op": op, **row} for op, group in _grouped(seen, "op").items() for row in _phases(group)]


def _phases(seen: Sequence[Seen]) -> Iterator[dict[str, Json]]:
    """A row for each phase that has operations."""
    phase = np.concatenate([one.phase for one in seen])
    acked = np.concatenate([one.series.acked for one in seen])
    latency_ns = np.concatenate([one.series.return_ns - one.series.scheduled_ns for one in seen])
    for number, name in enumerate(PHASES):
        here = phase == number
        if here.any():
            yield {"phase": name, **phase_figures(acked[here], latency_ns[here & acked])}
