"""The whole agent, against an API server of a few lines: faults, restarts, deaths and silence."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from caplab_agent import __main__ as program
from caplab_agent.faults import Assignment, FaultRecord
from caplab_agent.injections import AgentLocation
from caplab_agent.injectors.kill.gate import Gates
from caplab_agent.plan import DIED, LOST, TOO_LATE
from support.agent.fakes import POD_UID
from support.agent.lab import FakeApi, Lab, deleted, fault, lab_in, state, wait_until
from support.effort import quickest

from caplab.contract.objects import Kill


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield from lab_in(tmp_path)


def test_a_fault_is_carried_out_proven_healed_at_its_time_and_then_forgotten(lab: Lab) -> None:
    lab.start()
    lab.api.put(fault(seconds=1.5), "ADDED")
    wait_until(lambda: state(lab) == "Active")
    active = lab.api.target()
    assert active["proven"] is True
    assert active["bootId"] == lab.clock.boot_id
    assert lab.member
    assert lab.member.wait(1) == -signal.SIGKILL
    assert lab.closed() == ["closed-f1"]
    wait_until(lambda: state(lab) == "Healed")
    healed = lab.api.target()
    assert 1.0e9 < healed["healedNs"] - healed["injectedNs"] < 2.5e9
    assert healed["evidence"][-1].startswith("gate held 1.")
    assert healed["zone"] == "a"
    assert not lab.closed()
    wait_until(lambda: lab.journal.read() == [])
    assert len({pid for pid, _ in lab.signalled}) == 1
    path, body = lab.api.patches[-1]
    assert "fieldManager=caplab-agent-node-1" in path
    assert set(body["status"]) == {"targets"}


def test_the_first_signal_follows_the_target_at_once(lab: Lab) -> None:
    lab.start()

    def once(number: int) -> float:
        uid = f"f{number}"
        if number:
            lab.start_member()
        unresolved = fault(uid)
        targets = unresolved["status"].pop("targets")
        lab.api.put(unresolved, "ADDED")
        time.sleep(0.3)
        resolved = {**unresolved, "status": {**unresolved["status"], "targets": targets}}
        before, began = len(lab.signalled), time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        lab.api.put(resolved)
        wait_until(lambda: len(lab.signalled) > before)
        lab.api.put(deleted(lab.api.faults[uid]))
        wait_until(lambda: state(lab, uid) == "Healed")
        return (lab.signalled[before][1] - began) / 1e9

    assert quickest(once, 0.2) < 0.2  # about 0.01 on an idle machine


def test_a_deleted_fault_heals_at_once(lab: Lab) -> None:
    lab.start()
    body = fault()
    lab.api.put(body, "ADDED")
    wait_until(lambda: state(lab) == "Active")
    lab.api.put(deleted(lab.api.faults["f1"]))
    wait_until(lambda: state(lab) == "Healed")
    assert "healed early: the Fault was deleted" in lab.api.target()["evidence"]
    assert not lab.closed()
    lab.api.remove("f1")
    wait_until(lambda: lab.journal.read() == [])


def test_a_fault_whose_object_was_torn_away_heals(lab: Lab) -> None:
    lab.start()
    lab.api.put(fault(), "ADDED")
    wait_until(lambda: state(lab) == "Active")
    lab.api.remove("f1")
    wait_until(lambda: not lab.closed())
    wait_until(lambda: lab.journal.read() == [])


def test_a_fault_deleted_before_it_was_begun_is_reported_healed(lab: Lab) -> None:
    lab.api.put(deleted(fault()), "ADDED")
    lab.start()
    wait_until(lambda: state(lab) == "Healed")
    assert not lab.signalled


def test_a_late_fault_is_not_begun(lab: Lab) -> None:
    lab.api.put(fault(seconds=-1), "ADDED")
    lab.start()
    wait_until(lambda: state(lab) == "Failed")
    assert lab.api.target()["problem"] == TOO_LATE
    assert not lab.signalled


def unlabel(api: FakeApi) -> None:
    api.labels = {}


def replace_pod(api: FakeApi) -> None:
    api.pod["metadata"]["uid"] = "another"


def lose_pod(api: FakeApi) -> None:
    api.reads_status = 404


@pytest.mark.parametrize(
    ("plant", "names"), [(unlabel, "namespace lab"), (replace_pod, "uid another"), (lose_pod, "namespace lab")]
)
def test_what_the_guards_refuse_is_not_touched(lab: Lab, plant: Callable[[FakeApi], None], names: str) -> None:
    plant(lab.api)
    lab.start()
    lab.api.put(fault(), "ADDED")
    wait_until(lambda: state(lab) == "Failed")
    assert names in lab.api.target()["problem"]
    assert "Hint: " in lab.api.target()["problem"]
    assert not lab.signalled
    assert not lab.closed()
    wait_until(lambda: lab.journal.read() == [])


def test_guards_that_cannot_look_for_a_moment_look_again(lab: Lab) -> None:
    lab.api.reads_status = 503
    lab.start()
    lab.api.put(fault(), "ADDED")
    wait_until(lambda: len(lab.journal.read()) == 1)
    time.sleep(0.3)
    assert not lab.signalled
    lab.api.reads_status = 200
    wait_until(lambda: state(lab) == "Active")


def test_a_fault_deleted_while_the_guards_cannot_look_does_nothing(lab: Lab) -> None:
    lab.api.reads_status = 503
    lab.start()
    lab.api.put(fault(), "ADDED")
    wait_until(lambda: len(lab.journal.read()) == 1)
    lab.api.put(deleted(lab.api.faults["f1"]))
    wait_until(lambda: state(lab) == "Healed")
    assert "nothing was done" in lab.api.target()["evidence"][0]
    assert not lab.signalled


def test_the_journal_is_written_before_the_first_signal(lab: Lab) -> None:
    written: list[list[FaultRecord]] = []
    lab.before_signal = lambda: written.append(lab.journal.read())
    lab.start()
    lab.api.put(fault(), "ADDED")
    wait_until(lambda: state(lab) == "Active")
    assert [record.assignment.key for record in written[0]] == [("f1", POD_UID)]


def test_a_journal_that_cannot_be_written_stops_the_fault_before_it_begins(lab: Lab) -> None:
    lab.start()
    (lab.root / "journal").rename(lab.root / "moved")
    (lab.root / "journal").write_text("a file")
    lab.api.put(fault(), "ADDED")
    wait_until(lambda: state(lab) == "Failed")
    assert "journal" in lab.api.target()["problem"]
    assert not lab.signalled


def test_an_agent_that_is_stopped_heals_nothing_and_the_next_one_goes_on(lab: Lab) -> None:
    lab.start()
    lab.api.put(fault(seconds=2.5), "ADDED")
    wait_until(lambda: state(lab) == "Active")
    lab.stop()
    assert lab.closed() == ["closed-f1"]
    lab.start_member()
    lab.start()
    time.sleep(0.3)
    assert lab.closed() == ["closed-f1"]
    wait_until(lambda: state(lab) == "Healed")
    assert lab.api.target()["proven"] is True
    assert len({pid for pid, _ in lab.signalled}) == 1  # it was not killed twice
    assert not lab.closed()


def test_an_agent_that_is_stopped_in_the_midst_of_an_injection_writes_down_what_came_of_it(lab: Lab) -> None:
    signalling = threading.Event()

    def before_signal() -> None:
        signalling.set()
        time.sleep(0.3)

    lab.before_signal = before_signal
    lab.start()
    lab.api.put(fault(), "ADDED")
    wait_until(signalling.is_set)  # with the gate closed and no signal on its way yet, nothing would have to be written
    assert lab.closed() == ["closed-f1"]
    lab.stop()
    (record,) = lab.journal.read()
    assert (record.state, record.proven) == ("Active", True)


def journalled(lab: Lab, boot_id: str = "", **fields: Any) -> FaultRecord:
    """A record that an agent left behind, its gate closed."""
    assignment = Assignment(
        fault_uid="f1", namespace="lab", name="kill-f1", cluster="pg", pod_uid=POD_UID, pod="pg-0", action=Kill()
    )
    Gates(lab.root / "pods", lab.clock).close(assignment, 60)
    record = FaultRecord(
        assignment=assignment,
        boot_id=boot_id or lab.clock.boot_id,
        deadline_ns=lab.clock.now().ns + 60_000_000_000,
        **fields,
    )
    lab.journal.write([record])
    return record


def test_an_injection_that_the_agent_did_not_survive_is_undone_and_failed(lab: Lab) -> None:
    journalled(lab)
    lab.api.put(fault(), "ADDED")
    lab.start()
    wait_until(lambda: state(lab) == "Failed")
    assert lab.api.target()["problem"] == DIED
    assert not lab.closed()
    assert not lab.signalled


def test_after_another_boot_everything_is_healed_without_an_api_server(lab: Lab) -> None:
    lab.api.status = 503
    journalled(lab, boot_id="another", state="Active", injected_ns=1, proven=True)
    lab.start()
    wait_until(lambda: not lab.closed())
    lab.api.put(fault(state="Active"))
    lab.api.status = 200
    wait_until(lambda: state(lab) == "Healed")
    assert lab.api.target()["proven"] is False


def test_a_fault_whose_journal_was_lost_is_healed_and_failed(lab: Lab) -> None:
    journalled(lab, state="Active")
    (lab.root / "journal" / "faults.json").write_text("{")
    lab.api.put(fault(state="Active"), "ADDED")
    lab.start()
    wait_until(lambda: state(lab) == "Failed")
    assert lab.api.target()["problem"] == LOST
    assert not lab.closed()


@pytest.mark.parametrize("silent", [True, False])
def test_an_api_server_that_does_not_answer_delays_the_report_and_not_the_heal(lab: Lab, silent: bool) -> None:
    lab.start()
    lab.api.put(fault(seconds=1.5), "ADDED")
    wait_until(lambda: state(lab) == "Active")
    healed_by = time.monotonic() + 2.5
    if silent:
        lab.api.silent.clear()
    else:
        lab.api.status = 503
    wait_until(lambda: not lab.closed(), healed_by - time.monotonic())
    assert state(lab) == "Active"
    wait_until(lambda: lab.journal.read()[0].state == "Healed", 0.5)
    lab.restart()  # even then it is reported
    lab.api.status = 200
    lab.api.silent.set()
    wait_until(lambda: state(lab) == "Healed")
    assert lab.api.target()["proven"] is True
    wait_until(lambda: lab.journal.read() == [])


def test_two_overlapping_faults_on_one_pod_heal_apart(lab: Lab) -> None:
    lab.start()
    lab.api.put(fault("f1"), "ADDED")
    wait_until(lambda: state(lab, "f1") == "Active")
    lab.start_member()
    lab.api.put(fault("f2", seconds=1.5), "ADDED")
    wait_until(lambda: state(lab, "f2") == "Active")
    assert lab.closed() == ["closed-f1", "closed-f2"]
    wait_until(lambda: state(lab, "f2") == "Healed")
    assert lab.closed() == ["closed-f1"]
    assert state(lab, "f1") == "Active"
    lab.api.put(deleted(lab.api.faults["f1"]))
    wait_until(lambda: not lab.closed())


def test_a_kill_that_keeps_nothing_down_stays_active_until_its_time_and_kills_once(lab: Lab) -> None:
    lab.start()
    lab.api.put(fault(seconds=1.5, keepDown=False), "ADDED")
    wait_until(lambda: state(lab) == "Active")
    lab.start_member()
    assert not lab.closed()
    wait_until(lambda: state(lab) == "Healed")
    assert lab.api.target()["proven"] is True
    assert len({pid for pid, _ in lab.signalled}) == 1


def test_an_empty_container_fails_the_fault(lab: Lab) -> None:
    assert lab.member
    lab.member.kill()
    lab.member.wait()
    lab.start()
    lab.api.put(fault(), "ADDED")
    wait_until(lambda: state(lab) == "Failed")
    assert lab.api.target()["proven"] is False
    assert not lab.closed()


def test_the_program_names_what_it_lacks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("CAPLAB_NODE", "CAPLAB_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    assert program.main() == 2
    assert "CAPLAB_NODE is not set. Hint: " in capsys.readouterr().err
    assert program.agent_location({"CAPLAB_NODE": "n", "CAPLAB_NAMESPACE": "s"}) == AgentLocation("n", "s")
