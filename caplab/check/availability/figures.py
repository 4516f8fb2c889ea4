"""The figures of availability: in total, for each route and side, and for each vantage, op and route."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from caplab.check.columns import Integers, Mask
from caplab.check.series import Series
from caplab.check.sides import ALL
from caplab.model.fields import Json
from caplab.model.history import READS

from .fault import InFault, acked_in_fault, served_seconds, unacked_share
from .phases import PHASES, Sorted, phase_figures

_MEMBERS = ("direct", "replica")  # routes on which reads take the members in turn; without a primary writes too


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesAvailability:
    """A series, its outages and phases; times count from the injection, failover_ns is a lower bound if open.

    in_fault is None where there is no fault.
    """

    series: Series
    parts: Sorted
    phase: Integers
    failover_ns: int
    first_ack_ns: int | None
    in_fault: InFault | None
    has_primary: bool = True

    @property
    def of_cluster(self) -> bool:
        """Whether it shows how the cluster as a whole served.

        A series that goes straight to members in turn does not: a dead member is an outage of it, and no failover. On
        the route direct these are reads, and without a primary writes too; with one, writes stay with it. On the route
        any, writes to all members in turn are refused by most of them at any time.
        """
        if self.series.route in _MEMBERS:
            return self.has_primary and not self.is_read
        return self.series.route != "any"

    @property
    def is_read(self) -> bool:
        """Whether its operations are reads."""
        return self.series.op in READS

    @property
    def open(self) -> bool:
        """Whether it is not known when the outage that makes up the failover time ended."""
        return bool(self.parts.failover) and self.parts.failover[-1].open


def figures_of(availabilities: Sequence[SeriesAvailability], sides: Mapping[str, Sequence[str]]) -> dict[str, Json]:
    """Compute all figures, as docs/checkers/availability.md lists them; there must be at least one series.

    sides: the vantages of each side of a cut.
    """
    by_vantage = {name: _worst(_telling(group)) for name, group in _grouped(availabilities, "vantage").items()}
    worst = max(by_vantage, key=lambda name: (by_vantage[name], name))
    best = min(by_vantage, key=lambda name: (by_vantage[name], name))
    return {
        **_summary(availabilities, _telling(availabilities)),
        "worst_vantage": worst,
        "best_vantage": best,
        "best_failover_seconds": by_vantage[best],
        "by_route": {
            name: {**_summary(group, _telling(group)), "phases": _phases_by_op(group)}
            for name, group in _grouped(availabilities, "route").items()
        },
        "by_side": {
            side: _of_side(group)
            for side, vantages in sides.items()
            if (group := [availability for availability in availabilities if availability.series.vantage in vantages])
        },
        "series": [_series_figures(availability) for availability in availabilities],
        "phases": [
            {**_labels(availability), **row} for availability in availabilities for row in _phases([availability])
        ],
    }


def _of_side(availabilities: Sequence[SeriesAvailability]) -> dict[str, Json]:
    """Summarize a side. Every series of its routes counts: what its own member serves is what a cut is about."""
    by_route = {route: _summary(group, group) for route, group in _grouped(availabilities, "route").items()}
    return {ALL: _summary(availabilities, _telling(availabilities)), **by_route}


def _grouped(availabilities: Sequence[SeriesAvailability], label: str) -> dict[str, list[SeriesAvailability]]:
    def key(availability: SeriesAvailability) -> str:
        return str(getattr(availability.series, label))

    return {name: list(group) for name, group in groupby(sorted(availabilities, key=key), key)}


def _telling(availabilities: Sequence[SeriesAvailability]) -> Sequence[SeriesAvailability]:
    """Return the series that describe the cluster; if there are none, all of them."""
    return [availability for availability in availabilities if availability.of_cluster] or availabilities


def _worst(availabilities: Iterable[SeriesAvailability]) -> float:
    return max((availability.failover_ns for availability in availabilities), default=0) / 1e9


def _summary(availabilities: Sequence[SeriesAvailability], telling: Sequence[SeriesAvailability]) -> dict[str, Json]:
    """Summarize a group of series; how it was served is judged by those that describe the cluster."""
    earlier, failover, later = (
        sum(len(getattr(availability.parts, name)) for availability in availabilities)
        for name in ("earlier", "failover", "later")
    )
    writes, reads = (
        [availability for availability in telling if availability.is_read == wanted] for wanted in (False, True)
    )
    by_name = {"failover_seconds": telling, "write_outage_seconds": writes, "read_outage_seconds": reads}
    return {
        **_acks([availability.series.acked for availability in availabilities]),
        **{name: _worst(parts) for name, parts in by_name.items() if parts},
        "writes_served_seconds": served_seconds(_in_fault(writes)),
        "reads_served_seconds": served_seconds(_in_fault(reads)),
        "unacked_share": unacked_share(_in_fault(availabilities)),
        "writes_acked_in_fault": acked_in_fault(
            _in_fault(availability for availability in availabilities if not availability.is_read)
        ),
        "member_outage_seconds": _worst(availability for availability in availabilities if not availability.of_cluster),
        "outages": earlier + failover + later,
        "earlier_outages": earlier,
        "later_outages": later,
        "lower_bounds": [name for name, parts in by_name.items() if any(availability.open for availability in parts)],
    }


def _in_fault(availabilities: Iterable[SeriesAvailability]) -> list[InFault]:
    return [availability.in_fault for availability in availabilities if availability.in_fault is not None]


def _acks(acked: Sequence[Mask]) -> dict[str, Json]:
    operations = sum(len(mask) for mask in acked)
    count = sum(int(mask.sum()) for mask in acked)
    return {"operations": operations, "acked": count, "ack_ratio": count / operations}


def _labels(availability: SeriesAvailability) -> dict[str, Json]:
    return {"vantage": availability.series.vantage, "op": availability.series.op, "route": availability.series.route}


def _series_figures(availability: SeriesAvailability) -> dict[str, Json]:
    outages = (*availability.parts.earlier, *availability.parts.failover, *availability.parts.later)
    return {
        **_labels(availability),
        **_acks([availability.series.acked]),
        "failover_seconds": availability.failover_ns / 1e9,
        "first_ack_seconds": None if availability.first_ack_ns is None else availability.first_ack_ns / 1e9,
        "outages": [{"start_ns": outage.start_ns, "end_ns": outage.end_ns} for outage in outages],
        "lower_bounds": ["failover_seconds"] if availability.open else [],
    }


def _phases_by_op(availabilities: Sequence[SeriesAvailability]) -> list[Json]:
    """Compute the figures of each op and phase, over all vantages: reads and writes must not share a quantile."""
    return [{"op": op, **row} for op, group in _grouped(availabilities, "op").items() for row in _phases(group)]


def _phases(availabilities: Sequence[SeriesAvailability]) -> Iterator[dict[str, Json]]:
    """Yield a row for each phase that has operations."""
    phase = np.concatenate([availability.phase for availability in availabilities])
    acked = np.concatenate([availability.series.acked for availability in availabilities])
    latency_ns = np.concatenate(
        [availability.series.return_ns - availability.series.scheduled_ns for availability in availabilities]
    )
    for number, name in enumerate(PHASES):
        here = phase == number
        if here.any():
            yield {"phase": name, **phase_figures(acked[here], latency_ns[here & acked])}
