"""The phases of a run as a series of operations sees them, and how it fared in each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import NEVER, Integers, Mask
from caplab.check.series import Series
from caplab.model.fields import Json

from .outages import Outage

PHASES = ("before", "outage", "degraded", "healing", "after")
_QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


@dataclass(frozen=True, slots=True)
class Sorted:
    """A series' outages by time; failover: those that make up the failover time."""

    earlier: tuple[Outage, ...]  # over before the injection
    failover: tuple[Outage, ...]  # reached past the injection, and began before heal
    later: tuple[Outage, ...]  # began at heal or after


def sort_outages(outages: list[Outage], injected_ns: int | None, healed_ns: int | None) -> Sorted:
    """Divide a series' outages; without an injection all are earlier, without a heal none is later."""
    if injected_ns is None:
        return Sorted(tuple(outages), (), ())
    heal = NEVER if healed_ns is None else healed_ns
    over: list[Outage] = []
    reaching: list[Outage] = []
    for outage in outages:
        (reaching if _end(outage) > injected_ns else over).append(outage)
    return Sorted(
        tuple(over),
        tuple(outage for outage in reaching if outage.start_ns < heal),
        tuple(outage for outage in reaching if outage.start_ns >= heal),
    )


def phase_of(
    series: Series, parts: Sorted, injected_ns: int | None, healed_ns: int | None, settled_ns: int | None
) -> Integers:
    """Return each operation's place in PHASES, by its scheduled_ns.

    - before: up to the injection; the whole run where there is none.
    - outage: from the injection to the end of the last outage that began before heal; empty if none.
    - degraded: from there to heal; empty where the outage outlasts the fault.
    - healing: from there until members had settled (settled_ns, where known) and the last
      later outage was over; empty if neither is after heal.
    - after: the rest.
    """
    if injected_ns is None:
        return np.zeros(len(series.scheduled_ns), dtype=np.int64)
    recovered = max([injected_ns, *(_end(outage) for outage in parts.failover)])
    heal = max(recovered, NEVER if healed_ns is None else healed_ns)
    healthy = max([heal, settled_ns or heal, *(_end(outage) for outage in parts.later)])
    edges = np.array([injected_ns, recovered, heal, healthy], dtype=np.int64)
    return np.searchsorted(edges, series.scheduled_ns, side="right").astype(np.int64)


def _end(outage: Outage) -> int:
    return NEVER if outage.end_ns is None else outage.end_ns


def phase_figures(acked: Mask, latency_ns: Integers) -> dict[str, Json]:
    """Compute the ack ratio, and the acked operations' latency from their scheduled start (nearest-rank, in seconds).

    latency_ns is that of the acked operations. Figures without operations are None.
    """
    figures: dict[str, Json] = {
        "operations": len(acked),
        "acked": int(acked.sum()),
        "ack_ratio": float(acked.mean()) if len(acked) else None,
    }
    if not len(latency_ns):
        return figures | {f"latency_{name}_seconds": None for name in _QUANTILES}
    values = np.quantile(latency_ns, list(_QUANTILES.values()), method="inverted_cdf") / 1e9
    return figures | {f"latency_{name}_seconds": float(value) for name, value in zip(_QUANTILES, values, strict=True)}
