"""A history cut into bins of time, strip by strip: the numbers that `timeline` draws."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from caplab.check.columns import Integers, among, integers, present
from caplab.check.series import Series, groups, split
from caplab.model.history import READS, Table

Floats: TypeAlias = NDArray[np.float64]
StripName: TypeAlias = tuple[str, str, str]  # vantage, kind, route

BIN_NS = 100_000_000  # the window of the availability checker: the picture shows what is judged
_MAX_BINS = 750  # a bin narrower than a pixel shows nothing
_MAX_CELLS = 9_000  # over all strips: some 250 KB of SVG at worst


def kind_of(op: str) -> str:
    """Return the kind of an operation's strip."""
    return "reads" if op in READS else "writes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The reads or the writes of one vantage on one route, a value for each bin.

    share is the acked share of the scheduled operations, NaN if none was scheduled; p99_seconds is the latency of the
    acked ones from their scheduled start, by nearest rank, NaN if none was acked. lost_seconds: when acked writes were
    scheduled that the final scan lacks, from the origin.
    """

    vantage: str
    kind: str  # writes or reads
    route: str
    share: Floats
    p99_seconds: Floats
    lost_seconds: tuple[float, ...]

    @property
    def name(self) -> StripName:
        """Return what tells the strip from others."""
        return self.vantage, self.kind, self.route


@dataclass(frozen=True, slots=True)
class BinnedRun:
    """All strips over the same bins: bin i begins at (first + i) * bin_seconds from the origin."""

    strips: tuple[Strip, ...]
    bin_seconds: float
    first: int
    count: int

    @property
    def begin_seconds(self) -> float:
        """Where the first bin begins, from the origin."""
        return self.first * self.bin_seconds

    @property
    def end_seconds(self) -> float:
        """Where the last bin ends, from the origin."""
        return (self.first + self.count) * self.bin_seconds


_Key: TypeAlias = tuple[str, str, str]  # vantage, kind, route


def first_ns(history: Table) -> int | None:
    """Return when the first operation of the load was scheduled; None without a load."""
    return min((int(series.scheduled_ns[0]) for series in split(history)), default=None)


def binned(history: Table, origin_ns: int, reach_ns: Collection[int], lost: Sequence[int]) -> BinnedRun:
    """Count in bins from the origin, wide enough that all fit the picture, from the first operation to the last.

    The bins reach over reach_ns too. lost are values whose adds are marked. Writes come before reads, and the
    service before other routes. Scans are left out, as in availability.
    """
    every: dict[_Key, list[Series]] = {}
    for series in split(history):
        kind = kind_of(series.op)
        every.setdefault((series.vantage, kind, series.route), []).append(series)
    moments = [
        *reach_ns,
        *(int(end) for parts in every.values() for series in parts for end in series.scheduled_ns[[0, -1]]),
    ]
    low_ns, high_ns = min(moments, default=origin_ns) - origin_ns, max(moments, default=origin_ns) - origin_ns
    bin_ns = _bin_ns(high_ns - low_ns, len(every))
    first, count = low_ns // bin_ns, high_ns // bin_ns - low_ns // bin_ns + 1
    start_ns = origin_ns + first * bin_ns
    marks = _marks(history, origin_ns, lost)
    keys = sorted(every, key=lambda key: (key[0], key[1] != "writes", key[2] != "service", key[2]))
    strips = (_strip(key, every[key], (start_ns, bin_ns, count), marks.get(key, ())) for key in keys)
    return BinnedRun(tuple(strips), bin_ns / 1e9, first, count)


def _bin_ns(span_ns: int, strips: int) -> int:
    most = max(1, min(_MAX_BINS, _MAX_CELLS // max(strips, 1)))
    return BIN_NS * max(1, -(-span_ns // (BIN_NS * most)))


def _strip(key: _Key, parts: Sequence[Series], bins: tuple[int, int, int], lost: tuple[float, ...]) -> Strip:
    start_ns, bin_ns, count = bins
    scheduled_ns = np.concatenate([series.scheduled_ns for series in parts])
    returned_ns = np.concatenate([series.return_ns for series in parts])
    acked = np.concatenate([series.acked for series in parts])
    where = (scheduled_ns - start_ns) // bin_ns
    scheduled = np.bincount(where, minlength=count).astype(np.float64)
    share = np.full(count, np.nan)
    np.divide(np.bincount(where[acked], minlength=count), scheduled, out=share, where=scheduled > 0)
    vantage, kind, route = key
    p99_seconds = _p99_seconds(where[acked], (returned_ns - scheduled_ns)[acked], count)
    return Strip(vantage=vantage, kind=kind, route=route, share=share, p99_seconds=p99_seconds, lost_seconds=lost)


def _p99_seconds(where: Integers, latency_ns: Integers, count: int) -> Floats:
    """Compute each bin's p99 at once: sorted by bin and latency, it is at a known place of the bin's part."""
    ordered_ns = latency_ns[np.lexsort((latency_ns, where))]
    sizes = np.bincount(where, minlength=count)
    ranks = (99 * sizes + 99) // 100  # rounded up, counted from 1
    places = np.cumsum(sizes) - sizes + ranks - 1
    p99_seconds = np.full(count, np.nan)
    p99_seconds[sizes > 0] = ordered_ns[places[sizes > 0]] / 1e9
    return p99_seconds


def _marks(history: Table, origin_ns: int, lost: Sequence[int]) -> dict[_Key, tuple[float, ...]]:
    """Return when the adds of the lost values were scheduled, for each strip."""
    rows = among(history, "op", ["add"]) & among(history, "outcome", ["ok"]) & present(history, "value")
    rows &= np.isin(integers(history, "value", 0), np.array(lost, dtype=np.int64))
    group, labels = groups(history, rows)
    seconds = (integers(history, "scheduled_ns", 0)[rows] - origin_ns) / 1e9
    marks: dict[_Key, tuple[float, ...]] = {}
    for which in np.unique(group):
        vantage, _, route = labels[which]
        marks[vantage, "writes", route] = tuple(np.sort(seconds[group == which]).tolist())
    return marks
