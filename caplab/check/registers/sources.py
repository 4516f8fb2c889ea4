"""The writer whose value each reader observed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from caplab.check.columns import Integers, Mask

from .operations import Part

NOBODY = -1
_ROOM = 8  # the most places of a table for each operation; beyond that, sorting is faster
_WIDE = 2**62  # numbers below it do not overflow


def sources(writers: Part, readers: Sequence[Part], keys: int) -> tuple[list[Integers], Mask]:
    """Return, for each part of readers, the place of the writer whose value each operation observed, or NOBODY.

    Writers have their places among themselves; after them comes, for each key, the beginning, in which it is absent.
    Also return a mask over all places and one more (for NOBODY, False): which writers share their value with another.
    """
    written = writers.where(~writers.null) if writers.null.any() else writers
    places, shared = _by_value(written, readers) or _by_key_and_value(written, readers, keys)
    if written is not writers:
        places = [np.append(np.flatnonzero(~writers.null), NOBODY)[part_places] for part_places in places]
        shared = _spread(shared, ~writers.null)
    for part, part_places in zip(readers, places, strict=True):
        if part.null.any():
            part_places[part.null] = len(writers) + part.key[part.null]
    shared = np.append(shared, np.zeros(keys + 1, dtype=np.bool_))
    shared[len(writers) + writers.key[writers.null]] = True  # absent is a value that was written again
    return places, shared


def _spread(some: Mask, where: Mask) -> Mask:
    every = np.zeros(len(where), dtype=np.bool_)
    every[where] = some
    return every


def _by_value(writers: Part, readers: Sequence[Part]) -> tuple[list[Integers], Mask] | None:
    """Match by value if values lie close together and each was written to one key only; else return None."""
    low, span = _range(writers, readers)
    if span > _room(writers, readers):
        return None
    table, shared = _table(writers.value - low, span)
    if shared.any() and (writers.key != writers.key[table[writers.value - low]]).any():
        return None
    places = []
    for part in readers:
        part_places = table[np.where(part.null, 0, part.value - low)] if part.null.any() else table[part.value - low]
        if len(writers):
            part_places[writers.key[part_places] != part.key] = NOBODY
        places.append(part_places)
    return places, shared


def _by_key_and_value(writers: Part, readers: Sequence[Part], keys: int) -> tuple[list[Integers], Mask]:
    low, span = _range(writers, readers)
    parts = [writers, *readers]
    if keys * span <= _room(writers, readers):
        numbers = [part.key * span + np.where(part.null, 0, part.value - low) for part in parts]
        size = keys * span
    else:
        values, different = (
            _ranks([part.value for part in parts])
            if keys * span >= _WIDE
            else ([np.where(part.null, 0, part.value - low) for part in parts], span)
        )
        numbers, size = _ranks([part.key * different + value for part, value in zip(parts, values, strict=True)])
    table, shared = _table(numbers[0], size)
    return [table[number] for number in numbers[1:]], shared


def _range(writers: Part, readers: Sequence[Part]) -> tuple[int, int]:
    """Return the lowest value, and the size of the range up to the highest."""
    values = [part.value[~part.null] if part.null.any() else part.value for part in (writers, *readers)]
    values = [value for value in values if len(value)]
    if not values:
        return 0, 1
    low = min(int(value.min()) for value in values)
    return low, max(int(value.max()) for value in values) - low + 1


def _room(writers: Part, readers: Sequence[Part]) -> int:
    return _ROOM * (len(writers) + sum(map(len, readers))) + 1024


def _table(numbers: Integers, size: int) -> tuple[Integers, Mask]:
    """Return, for each number, the place of a writer of it, or NOBODY; and which writers share their number."""
    table = np.full(size, NOBODY)
    places = np.arange(len(numbers))
    table[numbers] = places
    shared = table[numbers] != places
    if shared.any():
        shared[table[numbers[shared]]] = True
    return table, shared


def _ranks(columns: Sequence[Integers]) -> tuple[list[Integers], int]:
    """Replace large numbers by small ones that are equal where these are."""
    different, ranks = np.unique(np.concatenate(columns), return_inverse=True)
    return np.split(ranks, np.cumsum([len(column) for column in columns])[:-1]), len(different)
