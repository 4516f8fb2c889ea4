"""Whatever happens to a fault, and whenever its agent dies: injected at most once, ended in time, and reported."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from caplab_agent.clock import Instant
from caplab_agent.faults import BEGUN, FaultRecord, Key
from caplab_agent.injectors.partition.addresses import Partition
from caplab_agent.plan import DecisionContext, decide
from caplab_agent.requested import listed_fault
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import cases

from caplab.contract.phases import ACTIVE, FAILED, GONE, HEALED, TARGET_ENDED

pytestmark = pytest.mark.property
SECOND = 1_000_000_000
WALL = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = st.lists(
    st.sampled_from(["wait", "injected", "delete", "remove", "reported", "watch", "die", "lose", "go", "change"]),
    min_size=4,
    max_size=40,
)


class SimulatedNode:
    """One fault with two pods on a node, the API server's view of it and the view the agent has of that."""

    def __init__(self) -> None:
        self.now = 0
        self.journal: dict[Key, FaultRecord] = {}
        self.busy: set[Key] = set()
        self.injections: list[Key] = []
        self.states: dict[str, str] = {"p1": "", "p2": ""}
        self.deleted = self.removed = False
        self.addresses = 0
        self.watched: list[dict[str, Any]] | None = None

    def objects(self) -> list[dict[str, Any]]:
        metadata: dict[str, Any] = {"uid": "f1", "namespace": "lab", "name": "f"}
        if self.deleted:
            metadata["deletionTimestamp"] = "x"
        drops = {"dropsFrom": [f"10.0.0.{self.addresses}"]}
        targets = [{"uid": uid, "node": "n", "state": state, **drops} for uid, state in self.states.items()]
        status = {"until": (WALL + timedelta(seconds=10)).isoformat(), "targets": targets}
        spec = {"target": {"name": "pg"}, "partition": {"from": "peers"}, "durationSeconds": 10}
        return [] if self.removed else [{"metadata": metadata, "spec": spec, "status": status}]

    def step(self, name: str) -> None:
        getattr(self, name)()
        while self.decide():
            pass

    def wait(self) -> None:
        self.now += SECOND

    def injected(self) -> None:
        self.journal |= {key: replace(self.journal[key], state=ACTIVE) for key in self.busy}
        self.busy = set()

    def delete(self) -> None:
        self.deleted = True

    def remove(self) -> None:
        """The operator takes its finalizer away when all is over."""
        self.removed = self.removed or (self.deleted and set(self.states.values()) <= TARGET_ENDED)

    def reported(self) -> None:
        self.states |= {key[1]: record.state for key, record in self.journal.items()}

    def watch(self) -> None:
        self.watched = self.objects()

    def die(self) -> None:
        self.busy, self.watched = set(), None

    def lose(self) -> None:
        """The agent dies and its journal with it."""
        self.die()
        self.journal = {}

    def go(self) -> None:
        """A pod goes, and the agent sees it."""
        live = [key for key, record in self.journal.items() if record.state == ACTIVE]
        self.journal |= {key: replace(self.journal[key], state=GONE) for key in live[:1]}

    def change(self) -> None:
        """The operator writes other addresses."""
        self.addresses += 1

    def decide(self) -> bool:
        context = DecisionContext("n", "boot", Instant(self.now, WALL + timedelta(seconds=self.now / SECOND)))
        watched = None if self.watched is None else [listed_fault(body) for body in self.watched]
        plan = decide(watched, self.journal, self.busy, context)
        for record in plan.begin:
            self.journal[record.assignment.key] = record
            self.busy.add(record.assignment.key)
            self.injections.append(record.assignment.key)
        for assignment in plan.update:
            assert self.journal[assignment.key].state == ACTIVE
            assert assignment.key not in {heal.key for heal in plan.heal}
            self.journal[assignment.key] = replace(self.journal[assignment.key], assignment=assignment)
        self.journal |= {record.assignment.key: record for record in plan.report}
        healed = [heal for heal in plan.heal if heal.key not in self.busy]
        for heal in healed:
            ended = FAILED if heal.problem else HEALED
            self.journal[heal.key] = replace(self.journal[heal.key], state=ended)
        for key in plan.forget:
            del self.journal[key]
        return bool(plan.report or healed or plan.update)


@settings(max_examples=cases(1000))
@given(STEPS)
def test_a_fault_ends_in_time_and_everybody_knows_whatever_happens(steps: list[str]) -> None:
    node = SimulatedNode()
    for step in steps:
        node.step(step)
        for key, record in node.journal.items():
            assert record.ended or key in node.busy or node.now < record.deadline_ns
            assert record.state != BEGUN or key in node.busy  # nobody would ever finish it
    for step in ["watch", "injected", *["wait"] * 11, "reported", "watch"]:
        node.step(step)
    assert node.removed or set(node.states.values()) <= TARGET_ENDED
    assert not node.journal


@settings(max_examples=cases(1000))
@given(STEPS)
def test_no_pod_is_injected_twice_while_the_journal_lives(steps: list[str]) -> None:
    node = SimulatedNode()
    for step in steps:
        if step != "lose":
            node.step(step)
    assert len(node.injections) == len(set(node.injections))


@settings(max_examples=cases(1000))
@given(STEPS)
def test_nothing_is_forgotten_before_its_end_was_shown_or_its_object_was_gone(steps: list[str]) -> None:
    node = SimulatedNode()
    for step in steps:
        before = dict(node.journal)
        node.step(step)
        for key in before.keys() - node.journal.keys() if step != "lose" else ():
            assert node.removed or node.states[key[1]] in TARGET_ENDED


@settings(max_examples=cases(500))
@given(STEPS)
def test_what_is_live_and_watched_is_in_force(steps: list[str]) -> None:
    node = SimulatedNode()
    for step in [*steps, "watch"]:
        node.step(step)
    for record in node.journal.values():
        if record.state == ACTIVE and not node.removed:
            assert record.assignment.action == Partition((f"10.0.0.{node.addresses}",), ())
