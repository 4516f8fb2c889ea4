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


class Move(Enum):
    """What a reader does."""

    SERVE = "serve"  # what it found
    REFRESH = "refresh"  # the same, and it is loaded anew behind the reader's back
    LOAD = "load"  # the reader waits for a load


@dataclass(frozen=True, slots=True)
class Terms:
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
    loads. alone: of the moves that load, those that one reader of all makes at a time.
    """

    lifetime: Callable[[Terms, float], float]
    found: Callable[[Terms, Entry, float], Move]
    alone: frozenset[Move] = frozenset()

    def move(self, terms: Terms, entry: Entry | None, draw: float) -> Move:
        """What a reader does with what it found."""
        return Move.LOAD if entry is None else self.found(terms, entry, draw)


def _its_time(terms: Terms, _: float) -> float:
    return terms.ttl_seconds


def _serve(_terms: Terms, _entry: Entry, _draw: float) -> Move:
    return Move.SERVE


def _jittered(terms: Terms, draw: float) -> float:
    return terms.ttl_seconds * (1 - terms.jitter_share * draw)


def _xfetch(terms: Terms, entry: Entry, draw: float) -> Move:
    """Earlier the longer a load takes: with the chance that by the next read it would be too late."""
    early = entry.load_seconds * terms.beta * -math.log(draw)
    return Move.LOAD if early >= entry.remaining_seconds else Move.SERVE


def _refresh_ahead(terms: Terms, entry: Entry, _: float) -> Move:
    return Move.REFRESH if entry.remaining_seconds < terms.ahead_share * terms.ttl_seconds else Move.SERVE


def _with_grace(terms: Terms, _: float) -> float:
    return terms.ttl_seconds + terms.grace_seconds


def _stale_while_revalidate(terms: Terms, entry: Entry, _: float) -> Move:
    return Move.REFRESH if entry.remaining_seconds < terms.grace_seconds else Move.SERVE


PROTECTIONS: Mapping[str, Protection] = {
    "none": Protection(_its_time, _serve),
    # Single flight: the first loads, the others wait for its entry (Nishtala et al., "Scaling Memcache at Facebook",
    # NSDI 2013, leases).
    "lock": Protection(_its_time, _serve, frozenset({Move.LOAD})),
    # Vattani, Chierichetti & Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015.
    "xfetch": Protection(_its_time, _xfetch),
    # Lifetimes drawn apart, so that what was loaded together does not expire together (AWS Builders' Library,
    # "Caching challenges and strategies").
    "jitter": Protection(_jittered, _serve),
    # Loaded anew before its time is over (Caffeine, refreshAfterWrite; Oracle Coherence, refresh-ahead).
    "refresh-ahead": Protection(_its_time, _refresh_ahead, frozenset({Move.REFRESH})),
    # RFC 5861, stale-while-revalidate.
    "stale-while-revalidate": Protection(_with_grace, _stale_while_revalidate, frozenset({Move.REFRESH})),
}
