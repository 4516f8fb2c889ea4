"""The meaning of a witness, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from .steps import Step


def sentence(key: str, steps: Sequence[Step], failed: bool) -> str:
    """Describe the operations of a witness, by invocation. failed: it shows the value of a failed write."""
    where = f"on key '{key}'" if key else "on the key without a name"
    observers = [step for step in steps if step.observes]
    if any(step.refused for step in observers):
        return _of_refused(where, steps, observers)
    if len(steps) == 1:
        return _of_one(where, observers[0], failed)
    if len(observers) == 1:
        return _of_one_read(where, steps, observers[0])
    if any(step.writes for step in observers):
        return _of_cas(where, steps, observers)
    names = sorted({_value(step) for step in observers} | {str(step.written) for step in steps if step.writes})
    if "nothing" in names:
        return f"Nothing was found {where} after {names[0]} had been seen there."
    return f"Each of the values {' and '.join(names)} {where} would have to come before the other."


def _of_one(where: str, observer: Step, failed: bool) -> str:
    if observer.observed is None:
        return f"Nothing was found {where}, though it was never deleted."
    why = "though its write failed" if failed else "though it was never written"
    return f"{observer.observed} was seen {where}, {why}."


def _of_one_read(where: str, steps: Sequence[Step], read: Step) -> str:
    others = [step.written for step in steps if step.writes and step.written != read.observed and step.row != read.row]
    if not others:
        return f"{_value(read)} was seen {where} before its write was invoked."
    if len(others) > 1:
        return f"{_value(read).capitalize()} was seen {where}, which no order of the writes explains."
    if read.observed is None:
        return f"Nothing was found {where} after {others[0]} had been written."
    after = "it had been deleted" if others[0] is None else f"{others[0]} had been written over it"
    return f"{_value(read)} was seen {where} after {after}."


def _of_refused(where: str, steps: Sequence[Step], observers: Sequence[Step]) -> str:
    hint = "A cas that failed for another reason needs an error that says so."
    if len(observers) == 1:
        return f"A cas {where} was refused, though it would have found what it expected, {_value(observers[0])}. {hint}"
    return f"No order of these {len(steps):,} operations {where} explains that a cas was refused. {hint}"


def _of_cas(where: str, steps: Sequence[Step], observers: Sequence[Step]) -> str:
    expected = [_value(step) for step in observers if step.writes]
    if len(expected) == len(observers) == 2 and expected[0] == expected[1]:
        return f"Two cas {where} took effect on the same value, {expected[0]}."
    return f"No order of these {len(steps):,} operations {where} explains what each of them saw."


def _value(step: Step) -> str:
    return "nothing" if step.observed is None else str(step.observed)
