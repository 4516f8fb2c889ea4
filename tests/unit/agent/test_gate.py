"""The gate: the agent's side in a folder like kubelet's, and the member's side, run by bash for real."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from caplab_agent.clock import Clock
from caplab_agent.faults import Assignment
from caplab_agent.injectors.kill.gate import GRACE_CENTISECONDS, Gates, GateState, NoGate

from caplab.contract.objects import Kill

IMAGES = Path(__file__).parents[3] / "images"
ASSIGNMENT = Assignment(
    fault_uid="f1", namespace="lab", name="kill-it", cluster="pg", pod_uid="p1", pod="pg-0", action=Kill()
)
OTHER = replace(ASSIGNMENT, fault_uid="f2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pods/p1/volumes/kubernetes.io~empty-dir/gate"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def gates(tmp_path: Path, folder: Path) -> Gates:
    return Gates(tmp_path / "pods", Clock())


def test_a_closed_gate_names_boot_and_end_and_everybody_may_read_it(gates: Gates, folder: Path) -> None:
    clock = Clock()
    before = clock.uptime_centiseconds()
    mask = os.umask(0o077)
    try:
        gates.close(ASSIGNMENT, 10)
    finally:
        os.umask(mask)
    (file,) = folder.iterdir()
    boot_id, until = file.read_text().split()
    assert file.name == "closed-f1"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert boot_id == clock.boot_id
    assert before <= int(until) - 1000 - GRACE_CENTISECONDS <= clock.uptime_centiseconds() + 1


def test_two_faults_hold_one_gate_apart_and_a_release_may_be_repeated(gates: Gates, folder: Path) -> None:
    gates.close(ASSIGNMENT, 10)
    gates.close(OTHER, 10)
    assert gates.release(ASSIGNMENT) is GateState.HELD
    assert [file.name for file in folder.iterdir()] == ["closed-f2"]
    assert gates.release(ASSIGNMENT) is GateState.REMOVED
    assert gates.release(OTHER) is GateState.HELD


def test_a_gate_that_opened_by_itself_or_is_of_another_boot_is_reported(gates: Gates, folder: Path) -> None:
    gates.close(ASSIGNMENT, -1)
    assert gates.release(ASSIGNMENT) is GateState.EXPIRED
    (folder / "closed-f1").write_text("another-boot 99999999999\n")
    assert gates.release(ASSIGNMENT) is GateState.EXPIRED
    assert not list(folder.iterdir())


def test_a_pod_without_the_volume_cannot_be_kept_down_and_one_that_is_gone_is_open(gates: Gates, folder: Path) -> None:
    folder.rmdir()
    with pytest.raises(NoGate, match=r"pod pg-0 has no volume 'gate'.*Hint: "):
        gates.close(ASSIGNMENT, 10)
    assert gates.release(ASSIGNMENT) is GateState.GONE


def test_links_that_a_pod_put_there_are_not_followed(gates: Gates, folder: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in ("draft-f1", "closed-f1"):
        (folder / name).symlink_to(victim)
    gates.close(ASSIGNMENT, 10)
    assert not (folder / "closed-f1").is_symlink()
    assert victim.read_text() == "precious"
    (folder / "closed-f1").unlink()
    (folder / "closed-f1").symlink_to(victim)
    assert gates.release(ASSIGNMENT) is GateState.EXPIRED
    assert victim.read_text() == "precious"
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(NoGate):
        gates.close(ASSIGNMENT, 10)


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that another user can enter, with stubs for what the script runs outside of the gate."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    for name in ("patroni", "mkdir", "chmod"):
        stub = made / "bin" / name
        stub.parent.mkdir(exist_ok=True)
        stub.write_text(f'#!/bin/bash\necho "{name} $*"\n')
        stub.chmod(0o755)
    (made / "bin" / "wait-at-gate").write_text((IMAGES / "base" / "wait-at-gate").read_text())
    (made / "run-member").write_text((IMAGES / "postgres" / "run-member").read_text())
    (made / "run-member").chmod(0o755)
    (made / "gate").mkdir()
    yield made
    shutil.rmtree(made)


def start_member(home: Path, gate: Path) -> subprocess.Popen[str]:
    pod = {"POD_NAME": "pg-0", "POD_IP": "10.0.0.1", "CAPLAB_GATE": str(gate)}
    environment = {"PATH": f"{home / 'bin'}:/usr/bin:/bin", **pod}
    user = 65534 if os.geteuid() == 0 else None
    script = str(home / "run-member")
    return subprocess.Popen([script], env=environment, stdout=subprocess.PIPE, text=True, user=user, cwd="/")


def close(gate: Path, fault_uid: str, seconds: float) -> Path:
    clock = Clock()
    file = gate / f"closed-{fault_uid}"
    file.write_text(f"{clock.boot_id} {clock.uptime_centiseconds() + int(seconds * 100)}\n")
    return file


def ended(member: subprocess.Popen[str]) -> list[str]:
    out, _ = member.communicate(timeout=20)
    assert member.returncode == 0
    return out.splitlines()


@pytest.mark.parametrize("gate", ["gate", "none"])
def test_a_member_without_a_closed_gate_starts_and_says_nothing(home: Path, gate: str) -> None:
    lines = ended(start_member(home, home / gate))
    assert lines[-1] == "patroni /etc/caplab/patroni.yml"
    assert not [line for line in lines if "gate" in line]


@pytest.mark.parametrize(
    "text", ["another-boot 99999999999\n", "{boot} 1\n", "{boot}\n", "", "rubbish\n", "{boot} soon\n"]
)
def test_another_boot_a_time_that_is_over_or_rubbish_holds_no_gate(home: Path, text: str) -> None:
    (home / "gate" / "closed-f1").write_text(text.replace("{boot}", Clock().boot_id))
    assert not [line for line in ended(start_member(home, home / "gate")) if "kept down" in line]


def test_a_member_waits_until_every_fault_has_opened_its_gate(home: Path) -> None:
    first, second = close(home / "gate", "f1", 60), close(home / "gate", "f2", 60)
    with start_member(home, home / "gate") as member:
        assert member.stdout
        assert member.stdout.readline() == f"kept down by a fault: {first}\n"
        first.unlink()
        time.sleep(0.3)
        assert member.poll() is None
        second.unlink()
        lines = ended(member)
        assert "the gate is open after" in lines[0]
        assert lines[-1].startswith("patroni")


def test_a_gate_opens_by_itself_when_nobody_is_left_to_open_it(home: Path) -> None:
    close(home / "gate", "f1", 0.6)
    began = time.monotonic()
    lines = ended(start_member(home, home / "gate"))
    assert 0.4 < time.monotonic() - began < 5
    assert lines[-1].startswith("patroni")


def test_what_the_agent_writes_is_what_the_member_understands(home: Path, tmp_path: Path) -> None:
    gate = home / "pods/p1/volumes/kubernetes.io~empty-dir/gate"
    gate.mkdir(parents=True)
    gates = Gates(home / "pods", Clock())
    gates.close(ASSIGNMENT, 60)
    with start_member(home, gate) as member:
        assert member.stdout
        assert "kept down" in member.stdout.readline()
        assert gates.release(ASSIGNMENT) is GateState.HELD
        assert ended(member)[-1].startswith("patroni")


def test_a_waiting_member_ends_when_it_is_asked_to_and_idles_meanwhile(home: Path) -> None:
    close(home / "gate", "f1", 60)
    with start_member(home, home / "gate") as member:
        assert member.stdout
        member.stdout.readline()
        before = ticks(member.pid)
        time.sleep(1)
        assert ticks(member.pid) - before < 30  # of 100
        assert not Path(f"/proc/{member.pid}/task/{member.pid}/children").read_text()
        member.send_signal(signal.SIGTERM)
        assert member.wait(5) == 143


def ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
