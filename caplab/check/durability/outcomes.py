"""What became of each add, and the elements that are wrong."""

from __future__ import annotations

from dataclasses import dataclass

from caplab.check.columns import Integers, Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOutcomes:
    """The outcome of each add, and the values of the elements that are wrong."""

    there: Mask
    lost: Mask
    unacked_found: Mask
    unexpected: Integers
    duplicated: Integers
