"""Columns of a validated history as numpy arrays: the only module of the checkers that uses Arrow."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from caplab.model.history import Table

Mask: TypeAlias = NDArray[np.bool_]
Integers: TypeAlias = NDArray[np.int64]

NEVER = int(np.iinfo(np.int64).max)  # stands for a missing return


def integers(history: Table, name: str, null: int) -> Integers:
    """Return an integer column as an array, with nulls replaced by `null`."""
    return np.asarray(history.column(name).fill_null(null), dtype=np.int64)


def present(history: Table, name: str) -> Mask:
    """Return where a column is not null."""
    return np.asarray(history.column(name).is_valid(), dtype=np.bool_)


def found_expected(history: Table) -> Mask:
    """Return where the expected value equals the observed one, null being absent: whether an ok cas took effect."""
    expected, observed = (integers(history, name, 0) for name in ("expected", "observed"))
    same: Mask = (present(history, "expected") == present(history, "observed")) & (expected == observed)
    return same


def codes(history: Table, name: str) -> tuple[Integers, tuple[str, ...]]:
    """Return a text column as indices into the words returned with it; null is -1."""
    column = history.column(name).combine_chunks()
    return np.asarray(column.indices.fill_null(-1), dtype=np.int64), tuple(column.dictionary.to_pylist())


def among(history: Table, name: str, wanted: Collection[str]) -> Mask:
    """Return where a text column is one of the wanted words."""
    indices, words = codes(history, name)
    # One place more than there are words: -1 looks there, so null is never among them.
    hit = np.array([*(word in wanted for word in words), False], dtype=np.bool_)
    return hit[indices]
