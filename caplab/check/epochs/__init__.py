"""Epochs: at no time do two primaries acknowledge writes.

A write acked in epoch n that was invoked after the first ack of a later epoch shows two: its
server took it as primary while another already was. A write in flight over the change proves nothing,
since it may have taken effect before.

Postgres: epochs are timelines, whole numbers that grow with each promotion (manual, 25.3.6 Timelines). Redis: they
are replication ids, made at random by each promotion and each start of a primary (INFO, master_replid), so that only
the order of their first acks says which is later.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caplab.check.checker import Checker, Property
from caplab.check.columns import NEVER, Integers, Mask, among, codes, found_expected, integers, present
from caplab.check.finding import Context, Finding, State
from caplab.check.witness import MAX_WITNESSES, witness
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.nouns import are, counted, grouped, were

NAME = "epochs"
_WRITES = ("write", "add", "incr", "enqueue")
# As short as an int64: a replication id has 40 digits, and might by chance have no letter among them.
_NUMBER = re.compile("0|[1-9][0-9]{0,17}")


def check(history: Table, context: Context) -> Finding:
    """Look for writes acked in an epoch after a later one had begun to ack.

    Figures: acked (writes with an epoch), without_epoch (acked writes left out, since their server is not known),
    epochs in order, changes (failovers that acked writes show), begun_after_injection (epochs whose first ack came
    after it; None without a fault), overlaps (writes), overlap_seconds from the first ack of a later epoch to the last
    ack that overlaps it; witnesses, if there are overlaps.

    Whole numbers are in their own order, names in that of their first acks. Raises ValueError if there are both.
    Unknown with fewer than context.enough acked writes that have an epoch, unless one overlaps; and if the engine has
    no primary.
    """
    if not context.has_primary:
        return Finding(
            property=NAME, state=State.UNKNOWN, reason="There is no primary here, and so there are no epochs."
        )
    writes = _acked_writes(history)
    overlaps = _overlaps(writes)
    figures = _figures(writes, overlaps, context.injected_ns)
    if len(overlaps.place):
        figures["witnesses"] = _witnesses(history, context, writes, overlaps)
    state, reason = _judge(figures, context.enough)
    return Finding(property=NAME, state=state, reason=reason, figures=figures)


def overlapping_rows(history: Table) -> tuple[Integers, Integers]:
    """Return the rows of all writes acked in an epoch that was over, and for each the later epoch's first ack.

    Raises ValueError if epochs are both whole numbers and names.
    """
    writes = _acked_writes(history)
    overlaps = _overlaps(writes)
    first = [overlaps.first[overlaps.later[epoch]] for epoch in writes.epoch[overlaps.place].tolist()]
    return writes.row[overlaps.place], writes.row[np.array(first, dtype=np.int64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reign:
    """A stretch of writes that one server acked in one epoch, from the first ack to the last; server may be ''."""

    server: str
    epoch: str
    begin_ns: int
    end_ns: int
    acked: int


def reigns(history: Table) -> list[Reign]:
    """Return who acked writes in which epoch, by the first ack; they overlap where two primaries acked at once."""
    writes = _acked_writes(history)
    server, names = codes(history, "server")
    server, names = server[writes.row] % (len(names) + 1), (*names, "")
    pair = writes.epoch * len(names) + server
    found = []
    for which in np.unique(pair).tolist():
        acks_ns = writes.return_ns[pair == which]
        found.append(
            Reign(
                server=names[which % len(names)],
                epoch=writes.words[which // len(names)],
                begin_ns=int(acks_ns.min()),
                end_ns=int(acks_ns.max()),
                acked=len(acks_ns),
            )
        )
    return sorted(found, key=lambda reign: reign.begin_ns)


def applies(history: Table) -> str:
    """Return why there is nothing to check here, or ''."""
    return "" if (_acked(history) & present(history, "epoch")).any() else "no acked write has its epoch"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Writes:
    """Acked writes with an epoch, as they were invoked."""

    row: Integers  # in the history
    epoch: Integers  # its place in words
    words: tuple[str, ...]
    invoke_ns: Integers
    return_ns: Integers
    without_epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Overlaps:
    """Writes, by their place among all, that came after the first ack of a later epoch.

    first: for each epoch the place of the write that was acked first; later: for each epoch the later one whose first
    ack came first, itself if there is none; first_ack_ns: NEVER for an epoch that acked nothing. All by the epochs'
    places in words.
    """

    place: Integers
    order: list[int]  # epochs that acked, earliest first
    first: dict[int, int]
    later: dict[int, int]
    first_ack_ns: Integers


def _acked(history: Table) -> Mask:
    """Return which operations wrote something; a cas did if it found what it expected."""
    ok, cas = among(history, "outcome", ["ok"]), among(history, "op", ["cas"])
    wrote = among(history, "op", _WRITES) & ok
    if cas.any():
        wrote |= cas & ok & found_expected(history)
    return wrote


def _acked_writes(history: Table) -> _Writes:
    acked = _acked(history)
    epoch, words = codes(history, "epoch")
    row = np.flatnonzero(acked & (epoch >= 0))
    invoke_ns, return_ns = integers(history, "invoke_ns", 0)[row], integers(history, "return_ns", NEVER)[row]
    return _Writes(
        row=row,
        epoch=epoch[row],
        words=words,
        invoke_ns=invoke_ns,
        return_ns=return_ns,
        without_epoch=int(acked.sum()) - len(row),
    )


def _overlaps(writes: _Writes) -> _Overlaps:
    first_ack = np.full(len(writes.words), NEVER, dtype=np.int64)
    np.minimum.at(first_ack, writes.epoch, writes.return_ns)
    order = _order(writes.words, first_ack)
    # From the end: of all epochs from there on, the one that acked first. At one moment, the earlier epoch.
    later, soonest, begun = {}, -1, first_ack.copy()
    for epoch in reversed(order):
        later[epoch] = epoch if soonest < 0 else soonest
        begun[epoch] = NEVER if soonest < 0 else first_ack[soonest]
        if soonest < 0 or first_ack[epoch] <= first_ack[soonest]:
            soonest = epoch
    place = np.flatnonzero(writes.invoke_ns > begun[writes.epoch])
    first = _first_places(writes, first_ack) if len(place) else {}
    return _Overlaps(place=place, order=order, first=first, later=later, first_ack_ns=first_ack)


def _first_places(writes: _Writes, first_ack: Integers) -> dict[int, int]:
    places = np.flatnonzero(writes.return_ns == first_ack[writes.epoch])
    # Backwards, so that the first of several at one moment stays.
    return {int(writes.epoch[place]): int(place) for place in places[::-1]}


def _figures(writes: _Writes, overlaps: _Overlaps, injected_ns: int | None) -> dict[str, Json]:
    place, order, words = overlaps.place, overlaps.order, writes.words
    overlap_ns = 0
    if len(place):
        begins = np.array(
            [overlaps.first[overlaps.later[epoch]] for epoch in writes.epoch[place].tolist()], dtype=np.int64
        )
        overlap_ns = int((writes.return_ns[place] - writes.return_ns[begins]).max())
    return {
        "acked": len(writes.row),
        "without_epoch": writes.without_epoch,
        "epochs": [int(words[epoch]) if _NUMBER.fullmatch(words[epoch]) else words[epoch] for epoch in order],
        "changes": max(0, len(order) - 1),
        "begun_after_injection": None
        if injected_ns is None
        else int((overlaps.first_ack_ns[order] > injected_ns).sum()),
        "overlaps": len(place),
        "overlap_seconds": overlap_ns / 1e9,
    }


def _witnesses(history: Table, context: Context, writes: _Writes, overlaps: _Overlaps) -> list[Json]:
    """Show the first overlapping writes, each with the first ack of the later epoch.

    If epochs are names, also with the first ack of its own epoch, since names are in the order of their first acks.
    """
    shown: list[Json] = []
    for place in overlaps.place[:MAX_WITNESSES].tolist():
        epoch = int(writes.epoch[place])
        later = overlaps.later[epoch]
        own, other = (writes.words[code] for code in (epoch, later))
        places = [place, overlaps.first[later], *([] if _NUMBER.fullmatch(own) else [overlaps.first[epoch]])]
        what = f"A write was acked in epoch {own}, though it was invoked after epoch {other} had begun to ack."
        shown.append(witness(history, what, writes.row[places], context))
    return shown


def _order(words: Sequence[str], first_ack: Integers) -> list[int]:
    """Return the places of the epochs that acked, the earliest first."""
    numbers = [word for word in words if _NUMBER.fullmatch(word)]
    names = [word for word in words if not _NUMBER.fullmatch(word)]
    if numbers and names:
        raise ValueError(
            f"Epochs are both whole numbers and names ('{numbers[0]}', '{names[0]}')."
            " Hint: record those of one cluster, in one form."
        )
    acked = np.flatnonzero(first_ack != NEVER).tolist()
    if numbers:
        return sorted(acked, key=lambda epoch: int(words[epoch]))
    return sorted(acked, key=lambda epoch: (int(first_ack[epoch]), words[epoch]))


def _judge(figures: dict[str, Json], enough: int) -> tuple[State, str]:
    acked, overlaps = figures["acked"], figures["overlaps"]
    if overlaps:
        return (
            State.VIOLATED,
            f"Two primaries: {counted(overlaps, 'write')} {were(overlaps)} acked in an epoch that was already over.",
        )
    if not isinstance(acked, int) or acked < enough:
        have = "has its" if acked == 1 else "have their"
        return State.UNKNOWN, f"Only {counted(acked, 'acked write')} {have} epoch; {enough:,} {are(enough)} needed."
    return State.HOLDS, f"No write of {grouped(acked)} was acked in an epoch that was already over."


CHECKER = Checker(
    name=NAME,
    check=check,
    applies=applies,
    properties=(
        Property(
            name="twoPrimaries",
            words="split-brain writes",
            figure="overlaps",
            of="acked",
            by_side=False,
            by_route=False,
        ),
        Property(name="failovers", words="failovers", figure="changes", by_side=False, by_route=False),
    ),
)
