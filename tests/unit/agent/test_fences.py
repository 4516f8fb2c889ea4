"""Fences: which container an agent ends because the operator asks for it, and which it leaves alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from caplab_agent.cgroups import Cgroups
from caplab_agent.clock import Clock
from caplab_agent.deaths.fences import Fences
from caplab_agent.freezer import Freezer
from caplab_agent.holds import Holds

from caplab.contract.deaths import Fence
from caplab.contract.names import ENGINE_LABEL, FAST_PATH_LABEL, FENCE_ANNOTATION

UID, CONTAINER = "11111111-2222-3333-4444-555555555555", "c" * 64


def pod(asked: str, container: str = CONTAINER, **labels: str) -> dict[str, Any]:
    marks = {ENGINE_LABEL: "postgres", FAST_PATH_LABEL: "2"} | labels
    head = {"namespace": "ns", "name": "pg-0", "uid": UID, "labels": marks, "annotations": {FENCE_ANNOTATION: asked}}
    statuses = [{"name": "postgres", "containerID": f"containerd://{container}"}]
    return {"metadata": head, "status": {"containerStatuses": statuses}}


ASKED = Fence(CONTAINER, 1).to_annotation()[FENCE_ANNOTATION]


class Node:
    """A node with one container of one process."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.process, self.sent = process, list[int]()
        group = folder / f"pod{UID}" / CONTAINER
        group.mkdir(parents=True)
        (folder / "cgroup.controllers").touch()
        self.procs = group / "cgroup.procs"
        self.procs.write_text(f"{process.pid}\n")
        holds = Holds(Freezer(), Clock())
        self.fences = Fences(
            cgroups=Cgroups(folder), holds=holds, clock=Clock(), send=self.send, start=lambda run: run()
        )

    def send(self, pid: int, number: int) -> None:
        self.sent.append(pid)
        self.process.send_signal(number)
        self.process.wait()
        self.procs.write_text("")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield Node(tmp_path, process)
        process.kill()


def test_every_process_of_the_container_that_it_is_asked_for_is_killed_once(node: Node) -> None:
    for _ in range(3):
        node.fences.on_pods([pod(ASKED)])
    assert node.sent == [node.process.pid]
    assert node.process.returncode == -9


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(pod(ASKED, container="d" * 64), id="the next container of the pod"),
        pytest.param(pod(""), id="nobody asked"),
        pytest.param(pod(CONTAINER), id="a request that can't be read"),
        pytest.param(pod(f"{CONTAINER} 1 2"), id="a request with more in it"),
        pytest.param(pod(ASKED, **{FAST_PATH_LABEL: "soon"}), id="a pod without a fast path"),
    ],
)
def test_nothing_else_is_killed(node: Node, listed: dict[str, Any]) -> None:
    node.fences.on_pods([listed])
    assert node.sent == []


def test_a_later_request_for_another_container_of_the_pod_is_followed_too(node: Node) -> None:
    node.fences.on_pods([pod(Fence("d" * 64, 1).to_annotation()[FENCE_ANNOTATION])])
    assert node.sent == []
    node.fences.on_pods([pod(ASKED)])
    assert node.sent == [node.process.pid]
