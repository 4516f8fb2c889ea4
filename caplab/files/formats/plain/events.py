"""Events of transactions as columns, where a file has what most programs write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import itemgetter
from typing import Any

import numpy as np

from ....check.columns import Integers
from ....model.transactions import TXN
from ..events import ERROR_WORDS, OUTCOMES, PREFIX
from .micro_ops import Codes, MicroOps, integers, micro_ops

INVOKE = len(OUTCOMES)
KINDS = (*OUTCOMES, "invoke")
OK, INFO = OUTCOMES.index("ok"), OUTCOMES.index("info")
VALUED = (OK, INVOKE)  # the kinds of events whose values count
NEEDED = frozenset(("type", "process", "f", "value"))
_CODES = {word: code for code, word in enumerate(KINDS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainEvents:
    """Events of clients in order.

    kind: the place in KINDS. time and index: None if no event has one. errors: few, by the places of their events.
    micro: the values of ok events and of invocations; its keys are places in names.
    """

    kind: Codes
    process: Integers
    time: Integers | None
    index: Integers | None
    errors: dict[int, str]
    micro: MicroOps
    names: list[str | int]

    def __len__(self) -> int:
        """Return their number."""
        return len(self.kind)


def plain_events(events: Sequence[dict[str, Any]]) -> PlainEvents | None:
    """Return the events of clients, of which there are some, as columns; None if they are not plain."""
    layout = _layout_of(events)
    if layout is None:
        return None
    kinds = [_CODES.get(kind) if type(kind) is str else None for kind in map(itemgetter("type"), events)]
    if None in kinds:
        return None
    kind = np.array(kinds, dtype=np.uint8)
    values = compress(map(itemgetter("value"), events), np.isin(kind, VALUED).tobytes())
    micro = micro_ops(list(values))
    numbers = {name: integers(list(map(itemgetter(name), events))) for name in ("process", *layout)}
    if micro is None or any(each is None for each in numbers.values()):
        return None
    return PlainEvents(
        kind=kind,
        process=numbers["process"],  # type: ignore[arg-type]  # it is not None
        time=numbers.get("time"),
        index=numbers.get("index"),
        errors=error_words(((at, event.get("error")) for at, event in enumerate(events)), kind),
        micro=micro[0],
        names=micro[1],
    )


def error_words(errors: Iterable[tuple[int, Any]], kind: Codes) -> dict[int, str]:
    """Return a history's word for each error that has one; an invocation has no error."""
    return {
        at: ERROR_WORDS[error]
        for at, error in errors
        if type(error) is str and error in ERROR_WORDS and kind[at] != INVOKE
    }


def _layout_of(events: Sequence[dict[str, Any]]) -> tuple[str, ...] | None:
    """Return which of time and index all events have; None if they differ, or one has what converted files have."""
    layouts = set(map(tuple, events))
    kinds = {tuple(name for name in ("time", "index") if name in layout) for layout in layouts}
    is_plain = (
        len(kinds) == 1
        and all(NEEDED.issubset(layout) for layout in layouts)
        and not any(name.startswith(PREFIX) for name in set().union(*layouts))
        and {event["f"] if type(event["f"]) is str else None for event in events} == {TXN}
    )
    return kinds.pop() if is_plain else None
