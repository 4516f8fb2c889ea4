"""What keeps a thousand readers from the database when a key that all want expires: six ways, each a small rule (pure).

A rule says how long an entry is kept, and what a reader does with what it found. Who loads alone, as a claim in the
cache settles it for all processes, is part of the rule; carrying it out is the reader's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from .entries import Entry


class ReadAction(Enum):
    """What a reader does."""

    SERVE = "serve"  # what it found
    REFRESH = "refresh"  # the same, and it is loaded anew behind the reader's back
    LOAD = "load"  # the reader waits for a load


@dataclass(frozen=True, slots=True)
class CacheTiming:
    """How long an entry is good for, and what each protection makes of that.

    ttl_seconds: for how long it is good. jitter_share: up to this part of it is taken off at random. beta: of XFetch, 1
    or more for earlier loads. ahead_share: refresh-ahead begins when less than this part of it is left.
    grace_seconds: for so long beyond it an entry is still served while another one is loaded.
    """

    ttl_seconds: float
    jitter_share: float = 0.5
    beta: float = 1.0
    ahead_share: float = 0.2
    grace_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Protection:
    """One rule. draw is uniform in (0, 1].

    lifetime: for how many seconds a new entry stays. found: what to do with an entry; where there is none, a reader
    loads. exclusive: of the actions that load, those that one reader of all makes at a time.
    """

    lifetime: Callable[[CacheTiming, float], float]
    on_hit: Callable[[CacheTiming, Entry, float], ReadAction]
    exclusive: frozenset[ReadAction] = frozenset()

    def action_on(self, timing: CacheTiming, entry: Entry | None, draw: float) -> ReadAction:
        """What a reader does with what it found."""
        return ReadAction.LOAD if entry is None else self.on_hit(timing, entry, draw)


def _ttl(timing: CacheTiming, _: float) -> float:
    return timing.ttl_seconds


def _serve(_timing: CacheTiming, _entry: Entry, _draw: float) -> ReadAction:
    return ReadAction.SERVE


def _jittered(timing: CacheTiming, draw: float) -> float:
    return timing.ttl_seconds * (1 - timing.jitter_share * draw)


def _xfetch(timing: CacheTiming, entry: Entry, draw: float) -> ReadAction:
    """Earlier the longer a load takes: with the chance that by the next read it would be too late."""
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
    # Single flight: the first loads, the others wait for its entry (Nishtala et al., "Scaling Memcache at Facebook",
    # NSDI 2013, leases).
    "lock": Protection(_ttl, _serve, frozenset({ReadAction.LOAD})),
    # Vattani, Chierichetti & Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015.
    "xfetch": Protection(_ttl, _xfetch),
    # Lifetimes drawn apart, so that what was loaded together does not expire together (AWS Builders' Library,
    # "Caching challenges and strategies").
    "jitter": Protection(_jittered, _serve),
    # Loaded anew before its time is over (Caffeine, refreshAfterWrite; Oracle Coherence, refresh-ahead).
    "refresh-ahead": Protection(_ttl, _refresh_ahead, frozenset({ReadAction.REFRESH})),
    # RFC 5861, stale-while-revalidate.
    "stale-while-revalidate": Protection(_with_grace, _stale_while_revalidate, frozenset({ReadAction.REFRESH})),
}
