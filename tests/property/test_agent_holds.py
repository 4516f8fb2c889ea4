"""However freezes, kills and agents interleave: a pod is frozen exactly while it is held and not being killed."""

from __future__ import annotations

import random
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from caplab_agent.freezer import Freezer, FreezerState
from caplab_agent.holds import Holds
from hypothesis import given, settings
from hypothesis import strategies as st
from support.agent.fakes import POD_UID, FakeClock
from support.effort import cases

pytestmark = pytest.mark.property
FAULTS = [f"f{number}" for number in range(4)]
STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "release", "release", "kill", "dead", "restart"]), st.sampled_from(FAULTS)),
    max_size=40,
)


class SimulatedPod:
    """A pod's cgroup, who holds it, and the kills that are under way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "freezer.state"
        self.file.write_text("THAWED")
        self.held: set[str] = set()
        self.kills: list[ExitStack] = []
        self.holds = self.new_holds()

    def new_holds(self) -> Holds:
        return Holds(Freezer(), FakeClock())

    def take(self, fault: str) -> None:
        if not self.kills:  # it would wait for them
            assert self.holds.acquire(POD_UID, fault, self.folder).frozen_ns is not None
            self.held.add(fault)

    def release(self, fault: str) -> None:
        state = self.holds.release(POD_UID, fault, self.folder)
        assert state is FreezerState.FROZEN or fault not in self.held
        self.held.discard(fault)

    def kill(self, fault: str) -> None:
        stack = ExitStack()
        stack.enter_context(self.holds.thawed(POD_UID))
        self.kills.append(stack)

    def dead(self, fault: str) -> None:
        if self.kills:
            self.kills.pop().close()

    def restart(self, fault: str) -> None:
        """Another agent goes on; no kill survives that."""
        while self.kills:
            self.dead(fault)
        self.holds = self.new_holds()
        for holder in sorted(self.held):
            assert self.holds.adopt(POD_UID, holder, self.folder) is FreezerState.FROZEN

    @property
    def frozen(self) -> bool:
        return self.file.read_text() == "FROZEN"


@settings(max_examples=cases(300))
@given(STEPS)
def test_a_pod_is_frozen_exactly_while_it_is_held_and_not_being_killed(steps: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pod = SimulatedPod(Path(folder))
        for step, fault in steps:
            getattr(pod, step)(fault)
            assert pod.frozen == (bool(pod.held) and not pod.kills)
        while pod.kills:
            pod.dead("")
        for fault in sorted(pod.held):
            assert pod.frozen
            pod.release(fault)
        assert not pod.frozen


@pytest.mark.parametrize("seed", range(10))
def test_threads_that_freeze_thaw_and_kill_at_once_leave_the_pod_thawed(tmp_path: Path, seed: int) -> None:
    pod = SimulatedPod(tmp_path)
    errors: list[BaseException] = []

    def run(fault: str) -> None:
        choose = random.Random(f"{seed} {fault}")
        try:
            for _ in range(30):
                if choose.random() < 0.3:
                    with pod.holds.thawed(POD_UID):
                        assert not pod.frozen
                    continue
                assert pod.holds.acquire(POD_UID, fault, tmp_path).frozen_ns is not None
                assert pod.holds.adopt(POD_UID, fault, tmp_path) is FreezerState.FROZEN
                assert pod.holds.release(POD_UID, fault, tmp_path) is FreezerState.FROZEN
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(fault,)) for fault in FAULTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert not pod.frozen
