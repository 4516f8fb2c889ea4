"""What some operations of a key prove about all of them, if values may have been written more than once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from .steps import Step


def sound(steps: Sequence[Step], kept: Sequence[int]) -> list[Step]:
    """Return the steps at these places, such that if they are not linearizable, all of them are not.

    One that saw a value says something only if every writer of it that is not among them is surely out of question:
    overwritten by one that is kept, or invoked too late (for one that was refused, every writer of another value). Else
    a read is left out, and a cas counts as a plain write.
    """
    there = set(kept)
    part = [steps[place] for place in kept]
    missing = _Missing([step for place, step in enumerate(steps) if step.writes and place not in there])
    writers: dict[tuple[int | None, bool], _Writers] = {}
    result = []
    for step in part:
        if step.observes:
            what = (step.observed, step.refused)
            if what not in writers:
                writers[what] = _Writers(part, *what)
            if not writers[what].exclude(missing.of(*what), step):
                if step.writes:
                    result.append(replace(step, observes=False, observed=None))
                continue
        result.append(step)
    return result


class _Missing:
    """The writers that were left out, by what they could explain: a value, or that another one was not there."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._every = steps
        self._by_value: dict[int | None, list[Step]] = {}
        for step in steps:
            self._by_value.setdefault(step.written, []).append(step)

    def of(self, value: int | None, refused: bool) -> Sequence[Step]:
        """Return those of a value, or those of all others."""
        if not refused:
            return self._by_value.get(value, ())
        return [step for step in self._every if step.written != value]


class _Writers:
    """Certain writers of what an observer did not see: other values than it saw, or the one it did not find."""

    def __init__(self, steps: Sequence[Step], value: int | None, refused: bool) -> None:
        some = [step for step in steps if step.writes and step.certain and (step.written == value) == refused]
        by_return = sorted((step.return_ns, step.invoke_ns) for step in some)
        self._return_ns = [return_ns for return_ns, _ in by_return]
        self._latest = list(accumulate((invoke_ns for _, invoke_ns in by_return), max))

    def exclude(self, writers: Sequence[Step], observer: Step) -> bool:
        """Return whether the observer saw none of these writers: another value came between, or they came after it."""
        place = bisect_left(self._return_ns, observer.invoke_ns)
        if not place:
            return all(writer.invoke_ns > observer.return_ns for writer in writers)
        latest_ns = self._latest[place - 1]  # the last invocation of those that had returned
        return all(writer.return_ns < latest_ns or writer.invoke_ns > observer.return_ns for writer in writers)
