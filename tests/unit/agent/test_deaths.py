"""The watch for deaths: what it takes for a proof, and what it holds, reports and lets go."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from caplab_agent.cgroups import Cgroups
from caplab_agent.clock import Clock
from caplab_agent.deaths.members import Member, decided, to_watch
from caplab_agent.deaths.watch import DeathWatch
from caplab_agent.injectors.kill.gate import Gates

from caplab.contract.deaths import CONDITION, Death
from caplab.contract.names import DECIDED_ANNOTATION, ENGINE_LABEL, FAST_PATH_LABEL, HOLD_ANNOTATION

UID, CONTAINER = "11111111-2222-3333-4444-555555555555", "c" * 64
HOLD = f"closed-death-{CONTAINER[:12]}"


def pod(container: str = CONTAINER, **metadata: Any) -> dict[str, Any]:
    labels = {ENGINE_LABEL: "postgres", FAST_PATH_LABEL: "2"} | metadata.pop("labels", {})
    return {
        "metadata": {"namespace": "ns", "name": "pg-0", "uid": UID, "labels": labels, **metadata},
        "status": {"containerStatuses": [{"name": "postgres", "containerID": f"containerd://{container}"}]},
    }


@dataclass
class Node:
    """A node with one pod: its cgroup's list of processes, its start gate, and what was reported."""

    folder: Path
    first: subprocess.Popen[bytes]
    reported: list[tuple[Member, Death]] = field(default_factory=list)
    problem: str = ""

    def __post_init__(self) -> None:
        self.gate = self.folder / "pods" / UID / "volumes" / "kubernetes.io~empty-dir" / "gate"
        self.gate.mkdir(parents=True)
        group = self.folder / "cgroup" / f"pod{UID}" / CONTAINER
        group.mkdir(parents=True)
        (self.folder / "cgroup" / "cgroup.controllers").touch()
        self.procs = group / "cgroup.procs"
        self.procs.write_text(f"{self.first.pid}\n")
        status = self.folder / "proc" / str(self.first.pid) / "status"
        status.parent.mkdir(parents=True)
        status.write_text(f"Name:\tpatroni\nNSpid:\t{self.first.pid}\t1\n")
        gates = Gates(self.folder / "pods", Clock())
        self.watch = DeathWatch(
            cgroups=Cgroups(self.folder / "cgroup"), gates=gates, report=self.report, proc=self.folder / "proc"
        )

    def report(self, member: Member, death: Death) -> None:
        if self.problem:
            raise OSError(self.problem)
        self.reported.append((member, death))

    def kill(self, left: str = "") -> None:
        self.first.kill()
        self.first.wait()
        self.procs.write_text(left)

    def held(self) -> list[str]:
        return [file.name for file in self.gate.iterdir()]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with subprocess.Popen(["sleep", "60"]) as first:
        yield Node(tmp_path, first)
        first.kill()


def test_a_primary_whose_processes_have_ended_is_held_and_reported_with_its_container(node: Node) -> None:
    node.watch.on_pods([pod()])
    node.watch.look(0)
    assert (node.reported, node.held()) == ([], [])
    node.kill()
    node.watch.look(5)
    ((member, death),) = node.reported
    assert (member.pod, member.pod_uid, death.container_id, death.held) == ("pg-0", UID, CONTAINER, True)
    assert node.held() == [HOLD]
    node.watch.on_pods([pod()])  # the kubelet has not noticed yet
    node.watch.look(0)
    assert len(node.reported) == 1


def test_the_gate_opens_when_it_is_decided_who_leads(node: Node) -> None:
    node.watch.on_pods([pod()])
    node.kill()
    node.watch.look(5)
    node.watch.on_pods([pod(annotations={DECIDED_ANNOTATION: "another"})])
    assert node.held() == [HOLD]
    node.watch.on_pods([pod(annotations={DECIDED_ANNOTATION: CONTAINER})])
    assert node.held() == []


def test_the_gate_stays_closed_for_longer_once_where_that_is_asked_for_this_container(node: Node) -> None:
    def until() -> int:
        return int((node.gate / HOLD).read_text().split()[1])

    node.watch.on_pods([pod()])
    node.kill()
    node.watch.look(5)
    at_first = until()
    node.watch.on_pods([pod(annotations={HOLD_ANNOTATION: "another"})])
    assert until() == at_first
    node.watch.on_pods([pod(annotations={HOLD_ANNOTATION: CONTAINER})])
    for_longer = until()
    assert for_longer >= at_first + 1700  # hundredths of a second
    node.watch.on_pods([pod(annotations={HOLD_ANNOTATION: CONTAINER})])
    assert until() == for_longer
    node.watch.on_pods([pod(annotations={HOLD_ANNOTATION: CONTAINER, DECIDED_ANNOTATION: CONTAINER})])
    assert node.held() == []


def test_a_container_with_a_process_left_is_no_proof(node: Node) -> None:
    node.watch.on_pods([pod()])
    node.kill(left="12345\n")
    node.watch.look(5)
    assert (node.reported, node.held()) == ([], [])


def test_what_cannot_be_reported_holds_nobody(node: Node) -> None:
    node.problem = "forbidden"
    node.watch.on_pods([pod()])
    node.kill()
    with pytest.raises(OSError, match="forbidden"):
        node.watch.look(5)
    assert node.held() == []


def test_a_member_without_a_gate_is_reported_as_free(node: Node) -> None:
    node.watch.on_pods([pod()])
    node.gate.rmdir()
    node.kill()
    node.watch.look(5)
    assert [death.held for _, death in node.reported] == [False]


@pytest.mark.parametrize(
    "seen",
    [
        [pod(labels={FAST_PATH_LABEL: "soon"})],
        [pod(container="c" * 12)],
        [pod(uid="../../etc")],
        [],
        [pod(annotations={DECIDED_ANNOTATION: CONTAINER})],
    ],
)
def test_nobody_else_is_watched(node: Node, seen: list[dict[str, Any]]) -> None:
    node.watch.on_pods([pod()])
    node.watch.on_pods(seen)
    assert decided(seen) or to_watch(seen) == []
    if not decided(seen):
        node.kill()
        node.watch.look(0)
        assert (node.reported, node.held()) == ([], [])


def test_a_container_that_had_ended_before_is_not_watched(node: Node) -> None:
    node.kill()
    node.watch.on_pods([pod()])
    node.watch.look(0)
    assert node.reported == []


def test_a_death_is_read_as_it_was_written() -> None:
    death = Death(container_id=CONTAINER, unix_ns=1_795_977_733_037_749_000, held=True)
    body = pod()
    body["status"]["conditions"] = [{"type": "Ready", "status": "True"}, death.to_condition()]
    assert Death.of(body) == death
    assert death.to_condition()["lastTransitionTime"] == "2026-11-29T18:42:13Z"


@pytest.mark.parametrize(
    "condition",
    [
        {"type": CONDITION, "status": "False", "message": f"{CONTAINER} 1 held"},
        {"type": CONDITION, "status": "True", "message": f"{CONTAINER[1:]} 1 held"},
        {"type": CONDITION, "status": "True", "message": f"{CONTAINER} 1 held\nmore"},
        {"type": CONDITION, "status": "True"},
        {"type": "Ready", "status": "True", "message": f"{CONTAINER} 1 held"},
    ],
)
def test_what_is_no_proof_is_none(condition: dict[str, str]) -> None:
    body = pod()
    body["status"]["conditions"] = [condition]
    assert Death.of(body) is None
