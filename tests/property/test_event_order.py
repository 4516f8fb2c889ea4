"""Events have the order of the file, whatever their clock, and with or without their invocations."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import cases

from caplab.files.formats.edn import Keyword
from caplab.files.formats.events import NEVER, Operations, paired
from caplab.files.formats.texts import Texts
from caplab.model.bounds import Bounds

pytestmark = pytest.mark.property
SETTINGS = settings(max_examples=cases(200), deadline=None)
Turns = Sequence[tuple[int, str]]


def events_of(turns: Turns, ticks: Sequence[int] | None) -> list[tuple[int, dict[str, object]]]:
    """Return events in which each turn of a process invokes an operation, or ends the one it has open."""
    open_: dict[int, bool] = {}
    events = []
    now = 0
    for place, (process, end) in enumerate(turns):
        kind = end if open_.get(process) else "invoke"
        open_[process] = not open_.get(process)
        event: dict[str, object] = {"process": process, "type": Keyword(kind), "f": Keyword("write"), "value": process}
        if ticks is not None:
            now += ticks[place]
            event["time"] = now
        events.append((place + 1, event))
    return events


def precedences(operations: Operations) -> set[tuple[int, int]]:
    """Return which operation returned before which other one began, each by its first line."""
    many = range(len(operations))
    returns, begins = operations.return_ns, operations.invoke_ns
    return {
        (operations.line[one], operations.line[other])
        for one in many
        for other in many
        if returns[one] != NEVER and returns[one] < begins[other]
    }


def operations_of(events: list[tuple[int, dict[str, object]]]) -> Operations:
    return paired(events, Texts(), Bounds())


@SETTINGS
@given(data=st.data())
def test_a_clock_that_stands_or_goes_back_hides_no_order_and_makes_none(data: st.DataObject) -> None:
    turns = data.draw(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["ok", "fail", "info"])), min_size=1))
    ticks = data.draw(st.lists(st.integers(-2, 2), min_size=len(turns), max_size=len(turns)))
    expected = precedences(operations_of(events_of(turns, None)))
    assert precedences(operations_of(events_of(turns, ticks))) == expected


@SETTINGS
@given(turns=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["ok", "fail", "info"])), min_size=2))
def test_completions_alone_order_nothing_that_their_invocations_do_not(turns: Turns) -> None:
    events = events_of(turns, None)
    completions = [each for each in events if each[1]["type"] != "invoke"]
    if not completions:
        return
    whole = operations_of(events)
    began: dict[object, int] = {}  # by process
    invoked = {}  # the line of the invocation, by that of the completion
    for line, event in events:
        if event["type"] == "invoke":
            began[event["process"]] = line
        else:
            invoked[line] = began[event["process"]]
    alone = operations_of(completions)
    assert {(invoked[one], invoked[other]) for one, other in precedences(alone)} <= precedences(whole)
    sessions = {(one, other) for one, other in precedences(alone) if turns[one - 1][0] == turns[other - 1][0]}
    lines = [line for line, _ in completions]
    assert sessions == {(a, b) for a in lines for b in lines if a < b and turns[a - 1][0] == turns[b - 1][0]}
