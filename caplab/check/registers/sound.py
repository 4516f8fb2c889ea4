"""What some operations of a key prove about all of them, if values may have been written more than once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from .steps import Step


def sound(steps: Sequence[Step], kept: Sequence[int]) -> list[Step]:
    """Return the steps at these places, such that if they are not linearizable, all of them are not.

    One that saw a value must have a writer of it among them (absent has the beginning), and any other writer of it must
    be surely out of question: overwritten by one that is kept, or invoked too late. Else a read is left out, and a cas
    counts as a plain write.
    """
    there = set(kept)
    part = [steps[place] for place in kept]
    observed = {step.observed for step in part if step.observes}
    wrote = {step.written for step in part if step.writes} | {None}
    missing: dict[int | None, list[Step]] = {value: [] for value in observed}
    for place, step in enumerate(steps):
        if step.writes and step.written in observed and place not in there:
            missing[step.written].append(step)
    others = {value: _Writers(part, value) for value, writers in missing.items() if writers and value in wrote}
    result = []
    for step in part:
        founded = step.observed in wrote and (
            step.observed not in others or others[step.observed].exclude(missing[step.observed], step)
        )
        if founded or not step.observes:
            result.append(step)
        elif step.writes:
            result.append(replace(step, observes=False, observed=None))
    return result


class _Writers:
    """Writers of other values than an observed one."""

    def __init__(self, steps: Sequence[Step], value: int | None) -> None:
        some = [step for step in steps if step.writes and step.certain and step.written != value]
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
