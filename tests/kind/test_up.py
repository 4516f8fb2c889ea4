"""`make up`: repeated, interrupted, over ruins; `make down` is in test_down.py."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from caplab_cluster import registry
from caplab_cluster.kind_cluster import NODES, WORKERS
from caplab_cluster.paths import REPOSITORY
from support.effort import quickest
from support.kind.kind_lab import Lab, connect, log_folder, run_make, wait_until
from support.kind.lab_state import digest_of

pytestmark = pytest.mark.alone


def everything(lab: Lab) -> dict[str, str]:
    """What a `make up` that changes nothing must leave as it is: containers, starts, pods, images."""
    state = {
        name: lab.engine.must("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", name)
        for name in (*NODES, registry.NAME)
    }
    for node in NODES:
        state[f"images of {node}"] = lab.engine.exec(node, "ctr", "-n", "k8s.io", "images", "ls").out
    for pod in lab.get("pods", "-n", "kube-system")["items"]:
        restarts = [status["restartCount"] for status in pod["status"]["containerStatuses"]]
        state[pod["metadata"]["name"]] = f"{pod['metadata']['uid']} {restarts}"
    return state


def test_a_second_up_changes_nothing_and_takes_at_most_ten_seconds(lab: Lab) -> None:
    before = everything(lab)

    def once(_: int) -> float:
        started = time.monotonic()
        answer = run_make("up")
        seconds = time.monotonic() - started
        assert answer.ok, answer.err
        assert "done" not in [
            line.split()[-3] for line in answer.out.splitlines() if line.endswith(" s") and line[:2] == "  "
        ]
        assert everything(lab) == before
        return seconds

    assert quickest(once, 10, tries=3) < 10


def test_status_says_what_is_there(lab: Lab) -> None:
    answer = run_make("status")
    assert answer.ok, answer.err
    for word in (*NODES, "zone a", "zone b", "zone c", "Ready", lab.images["toolbox"], "GiB", "cores"):
        assert word in answer.out


@pytest.mark.long
def test_up_makes_anew_a_cluster_whose_machine_died_and_is_safe_to_interrupt(lab: Lab, tmp_path: Path) -> None:
    """The engine's books say 'running', but no process is left: as after a power cut."""
    kubeconfig = tmp_path / "mine"
    kubeconfig.write_text("apiVersion: v1\nkind: Config\ncurrent-context: mine\n")
    before = (kubeconfig.read_text(), digest_of(Path("/etc")))
    environment = {"KUBECONFIG": str(kubeconfig)}
    if lab.engine.name == "podman":  # Docker's daemon keeps its books right by itself
        kill_all_nodes(lab)
    else:
        lab.engine.remove([WORKERS[2]])
    log = log_folder() / "interrupted-up.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["python3", "-m", "caplab_cluster", "up"],
            env={**os.environ, **environment, "PYTHONPATH": str(REPOSITORY / "cluster")},
            stdout=out,
            stderr=out,
        )
        ids = {container.id for container in lab.cluster.containers()}
        wait_until(
            "new nodes are being made",
            lambda: len({c.id for c in lab.cluster.containers()} - ids) == len(NODES),
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert "interrupted" in log.read_text()
    if lab.engine.name == "podman":
        assert "should be running, but is not" in log.read_text()

    # Over those ruins, from warm caches: all of it again.
    started = time.monotonic()
    answer = run_make("up", **environment)
    seconds = time.monotonic() - started
    assert answer.ok, answer.out + answer.err
    assert "an earlier attempt did not finish" in answer.out
    assert connect().cluster.problems() == []
    assert seconds <= 240
    print(f"up from warm caches: {seconds:.1f} s")
    assert (kubeconfig.read_text(), digest_of(Path("/etc"))) == before


def kill_all_nodes(lab: Lab) -> None:
    form = "{{.State.ConmonPid}} {{.State.Pid}}"
    pids = [lab.engine.must("inspect", "--format", form, name).split() for name in NODES]
    for monitor, _ in pids:
        os.kill(int(monitor), signal.SIGKILL)
    for _, init in pids:
        os.kill(int(init), signal.SIGKILL)


def test_up_starts_nodes_that_were_stopped(lab: Lab) -> None:
    ids = {c.name: c.id for c in lab.cluster.containers()}
    lab.engine.must("stop", "-t", "10", *WORKERS[:2], timeout_seconds=90)
    answer = run_make("up")
    assert answer.ok, answer.out + answer.err
    assert {c.name: c.id for c in lab.cluster.containers()} == ids
    assert lab.cluster.problems() == []
