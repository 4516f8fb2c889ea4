"""Six protections of the database from a stampede when a popular key expires, each a small rule (pure).

A rule says how long an entry is kept, and what a reader does with the entry it got. It also says which loads are
exclusive, as a claim in the cache settles it for all processes. The reader carries this out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from .entries import Entry


class ReadAction(Enum):
    """What a reader does."""

    SERVE = "serve"  # serve the entry
    REFRESH = "refresh"  # serve the entry, and refresh it in the background
    LOAD = "load"  # wait for a load


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTiming:
    """How long an entry is good for, and how each protection uses that.

    ttl_seconds: for how long an entry is good. jitter_share: up to this share of it is taken off at random. beta: the
    parameter of XFetch; above 1 loads come earlier. ahead_share: refresh-ahead begins when less than this share of it
    is left. grace_seconds: how long beyond it an entry is still served while another one is loaded.
    """

    ttl_seconds: float
    jitter_share: float = 0.5
    beta: float = 1.0
    ahead_share: float = 0.2
    grace_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Protection:
    """One rule. Every draw is uniform in (0, 1].

    lifetime: for how many seconds a new entry stays. on_hit: what to do with an entry; without one a reader loads.
    exclusive: the loading actions that only one reader of all takes at a time.
    """

    lifetime: Callable[[CacheTiming, float], float]
    on_hit: Callable[[CacheTiming, Entry, float], ReadAction]
    exclusive: frozenset[ReadAction] = frozenset()

    def action_on(self, timing: CacheTiming, entry: Entry | None, draw: float) -> ReadAction:
        """Return what a reader does with the entry it got."""
        return ReadAction.LOAD if entry is None else self.on_hit(timing, entry, draw)


def _ttl(timing: CacheTiming, _: float) -> float:
    return timing.ttl_seconds


def _serve(_timing: CacheTiming, _entry: Entry, _draw: float) -> ReadAction:
    return ReadAction.SERVE


def _jittered(timing: CacheTiming, draw: float) -> float:
    return timing.ttl_seconds * (1 - timing.jitter_share * draw)


def _xfetch(timing: CacheTiming, entry: Entry, draw: float) -> ReadAction:
    """Refresh earlier the longer a load takes: with the chance that the next read would come too late."""
    early = entry.load_seconds * timing.beta * -math.log(draw)
    return ReadAction.LOAD if early >= entry.remaining_seconds else ReadAction.SERVE


def _refresh_ahead(timing: CacheTiming, entry: Entry, _: float) -> ReadAction:
    return ReadAction.REFRESH if entry.remaining_seconds < timing.ahead_share * timing.ttl_seconds else ReadAction.SERVE


def _with_grace(timing: CacheTiming, _: float) -> float:
    return timing.ttl_seconds + timing.grace_seconds


def _stale_while_revalidate(timing: CacheTiming, entry: Entry, _: float) -> ReadAction:
    return ReadAction.REFRESH if entry.remaining_seconds < timing.grace_seconds else ReadAction.SERVE


PROTECTIONS: Mapping[str, Protection] = {
    "none": Protection(_ttl, _serve),
    # Single flight: the first reader loads, the others wait for its entry (Nishtala et al., "Scaling Memcache at
    # Facebook", NSDI 2013, leases).
    "lock": Protection(_ttl, _serve, frozenset({ReadAction.LOAD})),
    # Vattani, Chierichetti & Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015.
    "xfetch": Protection(_ttl, _xfetch),
    # Lifetimes are drawn apart, so that entries loaded together do not expire together (AWS Builders' Library,
    # "Caching challenges and strategies").
    "jitter": Protection(_jittered, _serve),
    # Refreshed before its time is over (Caffeine, refreshAfterWrite; Oracle Coherence, refresh-ahead).
    "refresh-ahead": Protection(_ttl, _refresh_ahead, frozenset({ReadAction.REFRESH})),
    # RFC 5861, stale-while-revalidate.
    "stale-while-revalidate": Protection(_with_grace, _stale_while_revalidate, frozenset({ReadAction.REFRESH})),
}
