"""The evidence of a partition: pure functions.

A line about the present state replaces the earlier line about it, so that evidence stays short however often pods come
and go.
"""

from __future__ import annotations

from collections.abc import Iterable

from caplab.nouns import counted

from .rules import DropAddresses, DropCount, DropCounters

NOTHING = "no packet was dropped"
NEW_NETWORK = "the pod's network was recreated"
_DROPS, _DROPPED = "drops packets ", "dropped "
_LINES = 12  # with one address each; one more line sums up the other addresses


def with_drops(evidence: Iterable[str], drops: DropAddresses) -> tuple[str, ...]:
    """Replace the line that says how many addresses are to be dropped."""
    sources, destinations = (counted(len(each), "address", "addresses") for each in (drops.sources, drops.destinations))
    return (f"{_DROPS}from {sources} and to {destinations}", *_but(_DROPS, evidence))


def with_new_network(evidence: Iterable[str], after_ns: int, *, anew: bool) -> tuple[str, ...]:
    """Replace the line that says when the rules were installed in another network namespace.

    after_ns: since the injection; anew: it counts from now on, since no packet was dropped before.
    """
    after = f"{after_ns / 1e9:.1f} s"
    line = (
        f" before any drop: injected anew {after} later" if anew else f": rules installed again {after} after injection"
    )
    return (*_but(NEW_NETWORK, evidence), f"{NEW_NETWORK}{line}")


def with_counts(evidence: Iterable[str], counters: DropCounters, now_ns: int, injected_ns: int) -> tuple[str, ...]:
    """Replace the lines that count dropped packets, the highest count first; without new counts the old ones stay."""
    if not counters.dropped:
        return tuple(evidence)
    most = sorted(counters.dropped, key=lambda drop: -drop.packets)
    lines = [_line(drop, now_ns, injected_ns) for drop in most[:_LINES]]
    rest = most[_LINES:]
    if rest:
        packets = counted(sum(drop.packets for drop in rest), "packet")
        lines.append(f"{_DROPPED}{packets} of {counted(len(rest), 'other address', 'other addresses')}")
    return (*_but(_DROPPED, evidence), *lines)


def first_drop_ns(counters: DropCounters, now_ns: int, injected_ns: int) -> int:
    """Compute when the first packet was dropped, in nanoseconds.

    The rules are in force a moment before nft reports it: the result is never before injection.
    """
    return max(injected_ns, now_ns - max(drop.age_ms for drop in counters.dropped) * 1_000_000)


def _line(drop: DropCount, now_ns: int, injected_ns: int) -> str:
    after = max(0, round((now_ns - injected_ns) / 1e6) - drop.age_ms)
    return (
        f"{_DROPPED}{counted(drop.packets, 'packet')} {drop.direction} {drop.address}, first {after} ms after injection"
    )


def _but(prefix: str, evidence: Iterable[str]) -> tuple[str, ...]:
    return tuple(line for line in evidence if not line.startswith(prefix))
