"""The freeze, in a cgroup tree that answers as the kernel does: proven, thawed once, and by a timer if need be."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from caplab_agent.cgroups import Cgroups
from caplab_agent.commands import ProgramResult
from caplab_agent.faults import Assignment, FaultRecord, Heal
from caplab_agent.freezer import Freezer, FreezerState, NoFreezer
from caplab_agent.holds import Holds
from caplab_agent.injectors.freeze.injector import FreezeInjector
from caplab_agent.injectors.freeze.thaw_timer import ThawTimers, script
from caplab_agent.plan import DIED
from support.agent.fakes import ID, PAUSE, POD_UID, SECOND, FakeClock, Kernel, Programs

from caplab.contract.objects import Freeze
from caplab.contract.phases import ACTIVE, FAILED, GONE, HEALED

ASSIGNMENT = Assignment(
    fault_uid="f1", namespace="lab", name="freeze-it", cluster="pg", pod_uid=POD_UID, pod="pg-0", action=Freeze()
)
OTHER = replace(ASSIGNMENT, fault_uid="f2")
HEAL = Heal(ASSIGNMENT.key)


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def kernel(request: pytest.FixtureRequest, tmp_path: Path) -> Kernel:
    made = Kernel(root=tmp_path, version=request.param)
    made.make()
    made.container(PAUSE, 100)
    made.container(ID, 101, 102)
    return made


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def programs() -> Programs:
    return Programs()


def new_injector(kernel: Kernel, clock: FakeClock, programs: Programs) -> FreezeInjector:
    """The injector of an agent that was started just now."""
    holds = Holds(Freezer(kernel.write, bound_seconds=0.02), clock)
    return FreezeInjector(clock, Cgroups(kernel.root, kernel.read), holds, ThawTimers(programs))


@pytest.fixture
def injector(kernel: Kernel, clock: FakeClock, programs: Programs) -> FreezeInjector:
    return new_injector(kernel, clock, programs)


def new_record(assignment: Assignment = ASSIGNMENT, seconds: float = 10) -> FaultRecord:
    return FaultRecord(assignment=assignment, boot_id="boot-1", deadline_ns=1000 * SECOND + int(seconds * SECOND))


def inject(injector: FreezeInjector, record: FaultRecord | None = None) -> FaultRecord:
    done = injector.inject(record or new_record(), {}, threading.Event())
    assert done
    return done


def test_a_frozen_pod_is_proven_with_its_processes_and_its_times(
    kernel: Kernel, injector: FreezeInjector, clock: FakeClock
) -> None:
    done = inject(injector)
    assert kernel.frozen
    assert (done.state, done.proven, done.problem) == (ACTIVE, True, "")
    assert done.evidence == ("3 processes frozen after 1 ms",)
    assert done.injected_ns == done.effective_ns == clock.ns
    assert done.cpu_ns == 5_000_000


def test_the_timer_is_set_before_the_pod_is_frozen(
    kernel: Kernel, injector: FreezeInjector, programs: Programs
) -> None:
    frozen_at: list[bool] = []
    programs.answer = lambda argv, text: frozen_at.append(kernel.frozen) or ProgramResult(0)  # type: ignore[func-returns-value]
    inject(injector, new_record(seconds=12))
    (argv,) = programs.begun
    assert argv[:6] == ("nsenter", "-t", "1", "-m", "--", "systemd-run")
    assert "--on-active=12.500s" in argv
    assert f"--unit=caplab-thaw-{POD_UID}-f1" in argv
    assert str(kernel.pod) in argv[-1]
    assert frozen_at == [False]


def test_no_timer_no_freeze(kernel: Kernel, injector: FreezeInjector, programs: Programs) -> None:
    programs.answer = lambda argv, text: ProgramResult(1, "", "Failed to connect to bus\n")
    done = inject(injector)
    assert (done.state, done.injected_ns, kernel.writes) == (FAILED, None, [])
    assert "Failed to connect to bus. Hint: " in done.problem


def test_a_timer_that_takes_too_long_is_no_timer(kernel: Kernel, injector: FreezeInjector, programs: Programs) -> None:
    def answer(argv: Sequence[str], text: str) -> ProgramResult:
        raise TimeoutError("systemd-run took longer than 5 s and was killed")

    programs.answer = answer
    done = inject(injector)
    assert (done.state, kernel.writes) == (FAILED, [])
    assert "took longer" in done.problem


def test_heal_thaws_stops_the_timer_and_says_how_long_and_how_little_ran(
    kernel: Kernel, injector: FreezeInjector, clock: FakeClock, programs: Programs
) -> None:
    done = inject(injector)
    clock.pass_seconds(10)
    kernel.use_cpu(5_100_000)
    healed = injector.heal(done, HEAL)
    assert not kernel.frozen
    assert (healed.state, healed.proven, healed.healed_ns) == (HEALED, True, clock.ns)
    assert healed.evidence[-1] == "frozen for 10.0 s, in which the pod used 0.1 ms of CPU time"
    assert programs.begun[-1][-3:] == ("systemctl", "stop", f"caplab-thaw-{POD_UID}-f1.timer")
    assert injector.heal(done, HEAL).state == HEALED  # safe to repeat


def test_a_pod_that_somebody_thawed_loses_its_proof_and_is_not_frozen_again(
    kernel: Kernel, injector: FreezeInjector, clock: FakeClock
) -> None:
    done = inject(injector)
    assert injector.poll(done) is done
    clock.pass_seconds(3)
    Freezer(kernel.write).thaw(kernel.pod)
    polled = injector.poll(done)
    assert (polled.state, polled.proven) == (ACTIVE, False)
    assert polled.evidence[-1] == "the pod was no longer frozen: somebody thawed it, 3.0 s after injection"
    assert injector.poll(polled) is polled
    assert not kernel.frozen
    assert not injector.heal(polled, HEAL).proven
    assert "somebody thawed it" in injector.heal(done, HEAL).evidence[-1]  # seen only then


def test_a_container_that_is_born_frozen_at_heal_is_no_thaw(kernel: Kernel, injector: FreezeInjector) -> None:
    done = inject(injector)
    kernel.stuck = True
    Freezer(kernel.write, bound_seconds=0).freeze(kernel.pod)
    assert injector.poll(done) is done
    assert injector.heal(done, HEAL).proven


def test_a_late_heal_finds_that_the_timer_thawed_the_pod(
    kernel: Kernel, injector: FreezeInjector, clock: FakeClock
) -> None:
    done = inject(injector)
    clock.pass_seconds(11)
    Freezer(kernel.write).thaw(kernel.pod)
    assert new_injector(kernel, clock, Programs()).poll(done) is done  # it is the heal's to judge
    healed = injector.heal(done, HEAL)
    assert (healed.state, healed.proven) == (HEALED, False)
    assert healed.evidence[-1] == "the pod was thawed by its timer before the agent healed"


def test_what_does_not_stop_in_time_is_thawed_again(
    kernel: Kernel, injector: FreezeInjector, programs: Programs
) -> None:
    kernel.stuck = True
    done = inject(injector)
    assert (done.state, done.proven) == (FAILED, False)
    assert "did not stop in time" in done.problem
    assert kernel.writes[-1][1] in ("THAWED", "0")
    assert programs.begun[-1][-2] == "stop"


def test_a_pod_without_a_process_is_not_frozen(kernel: Kernel, injector: FreezeInjector, programs: Programs) -> None:
    kernel.pids = {}
    done = inject(injector)
    assert (done.state, kernel.writes, programs.begun) == (FAILED, [], [])
    assert "Hint: wait until the member is up" in done.problem


def test_a_freeze_that_was_stopped_before_it_began_leaves_neither_ice_nor_timer(
    kernel: Kernel, injector: FreezeInjector, programs: Programs
) -> None:
    stopped = threading.Event()
    programs.answer = lambda argv, text: stopped.set() or ProgramResult(0)  # type: ignore[func-returns-value]
    assert injector.inject(new_record(), {}, stopped) is None
    assert kernel.writes == []
    assert programs.begun[-1][-2] == "stop"
    assert injector.inject(new_record(), {}, stopped) is None


def test_a_pod_that_goes_is_gone_with_its_freeze(
    kernel: Kernel, injector: FreezeInjector, clock: FakeClock, programs: Programs
) -> None:
    done = inject(injector)
    clock.pass_seconds(2)
    kernel.remove()
    for ended in (injector.poll(done), injector.heal(done, HEAL)):
        assert (ended.state, ended.proven, ended.healed_ns) == (GONE, True, clock.ns)
        assert ended.evidence[-1] == "frozen for 2.0 s, until the pod was gone"
        assert programs.begun[-1][-2] == "stop"


def test_of_two_freezes_the_last_one_thaws(kernel: Kernel, injector: FreezeInjector, programs: Programs) -> None:
    first, second = inject(injector), inject(injector, new_record(OTHER))
    assert injector.heal(second, Heal(OTHER.key)).proven
    assert kernel.frozen
    assert programs.begun[-1][-1] == f"caplab-thaw-{POD_UID}-f2.timer"
    assert injector.heal(first, HEAL).proven
    assert not kernel.frozen


def test_the_next_agent_knows_who_holds_a_pod(kernel: Kernel, injector: FreezeInjector, clock: FakeClock) -> None:
    first, second = inject(injector), inject(injector, new_record(OTHER))
    later = new_injector(kernel, clock, Programs())
    assert [later.poll(each) for each in (first, second)] == [first, second]
    assert later.heal(first, HEAL).proven
    assert kernel.frozen
    assert later.heal(second, Heal(OTHER.key)).proven
    assert not kernel.frozen


def test_a_freeze_that_its_agent_did_not_survive_is_thawed(
    kernel: Kernel, injector: FreezeInjector, clock: FakeClock, programs: Programs
) -> None:
    inject(injector)
    healed = new_injector(kernel, clock, programs).heal(new_record(), Heal(ASSIGNMENT.key, problem=DIED))
    assert (healed.state, healed.problem, healed.proven) == (FAILED, DIED, False)
    assert not kernel.frozen
    assert programs.begun[-1][-2] == "stop"


def test_a_replacement_is_frozen_as_soon_as_it_has_a_process(kernel: Kernel, injector: FreezeInjector) -> None:
    pids, kernel.pids = kernel.pids, {}
    waiting, results = new_record(replace(ASSIGNMENT, replaces="the-one-before")), list[FaultRecord | None]()
    thread = threading.Thread(target=lambda: results.append(injector.inject(waiting, {}, threading.Event())))
    thread.start()
    kernel.pids = pids
    thread.join(10)
    assert results[0]
    assert results[0].proven
    assert kernel.frozen


def test_a_replacement_that_does_not_come_is_not_waited_for_longer_than_the_fault(
    kernel: Kernel, injector: FreezeInjector
) -> None:
    kernel.pids = {}
    waiting = new_record(replace(ASSIGNMENT, replaces="the-one-before"), seconds=0)
    assert injector.inject(waiting, {}, threading.Event()) is None


def test_a_cgroup_that_cannot_be_frozen_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoFreezer, match=r"neither freezer.state nor cgroup.freeze. Hint: "):
        Freezer().freeze(tmp_path)
    assert not list(tmp_path.iterdir())
    assert Freezer().state(tmp_path / "gone") is FreezerState.GONE
    assert not Freezer().freeze(tmp_path / "gone")
    Freezer().thaw(tmp_path / "gone")


def test_a_cgroup_without_a_freezer_fails_the_fault(kernel: Kernel, injector: FreezeInjector) -> None:
    for name in ("freezer.state", "cgroup.freeze"):
        (kernel.pod / name).unlink(missing_ok=True)
    done = inject(injector)
    assert done.state == FAILED
    assert "could not be frozen" in done.problem


def test_a_pods_cgroup_tells_its_containers_and_its_cpu_time(kernel: Kernel) -> None:
    group = Cgroups(kernel.root, kernel.read).pod(POD_UID)
    assert group
    assert (group.folder, group.containers(), group.cpu_ns()) == (kernel.pod, 2, 5_000_000)
    assert group.pids() == {100, 101, 102}
    group.account.unlink()
    assert group.cpu_ns() is None
    assert Cgroups(kernel.root, kernel.read).pod("another") is None


@pytest.mark.parametrize(
    ("systemctl", "thawed"),
    [
        ("exit 0", True),  # no other timer waits
        ("echo caplab-thaw-x-f2.timer loaded active waiting", False),
        ("echo broken >&2; exit 1", True),
    ],
)
def test_a_timer_thaws_unless_another_one_of_the_pod_still_waits(tmp_path: Path, systemctl: str, thawed: bool) -> None:
    stub, file = tmp_path / "systemctl", tmp_path / "it's a file"
    stub.write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/arguments\n{systemctl}\n')
    stub.chmod(0o755)
    file.write_text("FROZEN")
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["sh", "-c", script(ASSIGNMENT, file, "THAWED")], env={"PATH": path}, check=False, timeout=10)
    assert file.read_text().strip() == ("THAWED" if thawed else "FROZEN")
    arguments = (tmp_path / "arguments").read_text()
    assert f"--state=waiting caplab-thaw-{POD_UID}-*.timer" in arguments
