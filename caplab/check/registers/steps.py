"""Operations of one key, one by one, for algorithms that cannot treat all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from caplab.check.columns import NEVER, Integers, Mask

from .operations import Operations, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An operation: what it needs to observe (if it observes) and what it writes (if it writes). None is absent.

    return_ns is NEVER where it may take effect any time later, or never. refused: it observed any value but that one.
    """

    row: int
    observes: bool
    observed: int | None
    writes: bool
    written: int | None
    invoke_ns: int
    return_ns: int
    refused: bool = False

    @property
    def certain(self) -> bool:
        """Whether it certainly took effect."""
        return self.return_ns != NEVER


def steps_of(operations: Operations) -> list[Step]:
    """Return all operations by invocation; they must be of one key."""
    expected = dict(zip(operations.cas.tolist(), _values(operations.expected, operations.expected_null), strict=True))
    writers = [
        Step(
            row=row,
            observes=place in expected,
            observed=expected.get(place),
            writes=True,
            written=value,
            invoke_ns=invoke_ns,
            return_ns=return_ns,
        )
        for place, (row, value, invoke_ns, return_ns) in enumerate(_rows(operations.writers))
    ]
    observers = [
        Step(
            row=row,
            observes=True,
            observed=value,
            writes=False,
            written=None,
            invoke_ns=invoke_ns,
            return_ns=return_ns,
            refused=refused,
        )
        for refused, part in ((False, operations.readers), (True, operations.refusals))
        for row, value, invoke_ns, return_ns in _rows(part)
    ]
    return sorted(writers + observers, key=lambda step: (step.invoke_ns, step.row))


def _rows(part: Part) -> Iterator[tuple[int, int | None, int, int]]:
    values = _values(part.value, part.null)
    return zip(part.row.tolist(), values, part.invoke_ns.tolist(), part.return_ns.tolist(), strict=True)


def _values(value: Integers, null: Mask) -> list[int | None]:
    return [None if absent else number for number, absent in zip(value.tolist(), null.tolist(), strict=True)]
