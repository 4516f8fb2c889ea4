"""Isolation models from the weakest to the strongest, and which anomalies each forbids.

Adya's PL-1, PL-2, PL-2+, PL-SI and PL-3, with cursor stability between. Of the anomalies that items (not predicates)
have, PL-2.99 (repeatable read) forbids the same as PL-3.
"""

from __future__ import annotations

from collections.abc import Collection

BASE, BY_SESSION, BY_TIME = ORDERS = ("", "session", "realtime")  # what a cycle needs beside dependencies

READ_UNCOMMITTED = "read uncommitted"
READ_COMMITTED = "read committed"
CURSOR_STABILITY = "cursor stability"
PARALLEL_SNAPSHOT = "parallel snapshot isolation"
SNAPSHOT = "snapshot isolation"
SERIALIZABLE = "serializable"
MODELS = (READ_UNCOMMITTED, READ_COMMITTED, CURSOR_STABILITY, PARALLEL_SNAPSHOT, SNAPSHOT, SERIALIZABLE)
STRICT = "strict serializable"

# The weakest model that forbids it.
FORBIDDEN_FROM = {
    "g0": READ_UNCOMMITTED,
    "doubled": READ_UNCOMMITTED,
    "g1a": READ_COMMITTED,
    "g1b": READ_COMMITTED,
    "g1c": READ_COMMITTED,
    "dirty_updates": READ_COMMITTED,
    "incompatible_orders": READ_COMMITTED,
    "unwritten": READ_COMMITTED,
    "lost_updates": CURSOR_STABILITY,
    "internal": PARALLEL_SNAPSHOT,
    "g_single": PARALLEL_SNAPSHOT,
    "g_nonadjacent": SNAPSHOT,
    "long_fork": SNAPSHOT,
    "g2_item": SERIALIZABLE,
}

# What databases call the levels that they are asked for. Repeatable read is snapshot isolation in some, and PL-2.99 in
# theory: what both forbid counts.
_ASKED = {
    "read uncommitted": READ_UNCOMMITTED,
    "read committed": READ_COMMITTED,
    "cursor stability": CURSOR_STABILITY,
    "parallel snapshot isolation": PARALLEL_SNAPSHOT,
    "repeatable read": SNAPSHOT,
    "snapshot": SNAPSHOT,
    "snapshot isolation": SNAPSHOT,
    "serializable": SERIALIZABLE,
    "serialisable": SERIALIZABLE,
}
_STRICT = (
    "strict serializable", "strong serializable", "strict serialisable",
    "watch", "multi",  # of Redis, where one primary carries out a transaction's commands together
    "serial", "local serial",  # of Cassandra's lightweight transactions, in one partition
)  # fmt: skip
# Consistency levels of Cassandra's plain batches, which promise no isolation: what they append is ordered element by
# element.
_PROMISES_NOTHING = (
    "any", "one", "local one", "two", "three", "quorum", "local quorum", "each quorum", "all",
)  # fmt: skip


def rank_of(model: str) -> int:
    """Return the place of a model, from 0 for the weakest."""
    return MODELS.index(model)


def asked(level: str) -> tuple[int, str] | None:
    """Return the rank and the order of a level that was asked for; None if the word is not known.

    The rank of a level that promises no isolation is -1.
    """
    words = " ".join(level.lower().replace("-", " ").replace("_", " ").split())
    order = BASE
    for prefix, of in (("strong session ", BY_SESSION), ("strong ", BY_TIME)):
        if words.startswith(prefix) and words not in _STRICT:
            words, order = words.removeprefix(prefix), of
            break
    if words in _STRICT:
        return rank_of(SERIALIZABLE), BY_TIME
    if words in _PROMISES_NOTHING:
        return -1, BASE
    return (rank_of(_ASKED[words]), order) if words in _ASKED else None


def allowed(anomalies: Collection[tuple[str, str]]) -> dict[str, int]:
    """Return for each order the rank of the strongest model without these anomalies (name, order); -1: not even one.

    A model that is strong by sessions or real time also forbids what the plain one forbids.
    """
    ranks: dict[str, int] = {}
    for place, order in enumerate(ORDERS):
        ends = [rank_of(FORBIDDEN_FROM[name]) - 1 for name, needs in anomalies if needs in ORDERS[: place + 1]]
        ranks[order] = min(ends, default=len(MODELS) - 1)
    return ranks


def named(ranks: dict[str, int]) -> str:
    """Return the name of the strongest model: by the plain one first, then by what of sessions and time it keeps."""
    rank = ranks[BASE]
    if rank < 0:
        return "none"
    if ranks[BY_TIME] == rank:
        return STRICT if MODELS[rank] == SERIALIZABLE else f"strong {MODELS[rank]}"
    return f"strong session {MODELS[rank]}" if ranks[BY_SESSION] == rank else MODELS[rank]


def strongest(ranks: dict[str, int]) -> list[str]:
    """Return every model that no other one of those that hold implies."""
    names = []
    if ranks[BASE] > ranks[BY_SESSION] and ranks[BASE] >= 0:
        names.append(MODELS[ranks[BASE]])
    if ranks[BY_SESSION] > ranks[BY_TIME] and ranks[BY_SESSION] >= 0:
        names.append(f"strong session {MODELS[ranks[BY_SESSION]]}")
    if ranks[BY_TIME] >= 0:
        rank = ranks[BY_TIME]
        names.append(STRICT if MODELS[rank] == SERIALIZABLE else f"strong {MODELS[rank]}")
    return names
