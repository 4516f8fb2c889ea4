"""A node that is lost, on the real cluster: it is away, and comes back whoever dies or gives up first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from caplab_cluster.kind_cluster import CONTROL_PLANE, WORKERS
from caplab_cluster.node_loss.store import NodeLossStore
from chaoscaplab.faults import nodes
from chaoslib.exceptions import ActivityFailed
from support.kind.kind_lab import Lab, caplab, wait_until

from caplab.faults.commands import bring_nodes_back

pytestmark = pytest.mark.alone

WORKER = WORKERS[2]  # of zone c
RUNNER = """
import time
from chaoscaplab.faults.nodes import pause_node
pause_node(zone="c", seconds=6)
print("away", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def all_back(lab: Lab) -> Iterator[None]:
    os.environ["KUBECONFIG"] = str(lab.cache.kubeconfig)
    yield
    bring_nodes_back(NodeLossStore.of(lab.cache), print)
    wait_until("every node Ready", lambda: is_ready(lab), 120)


def is_ready(lab: Lab) -> bool:
    """Whether all nodes are, and the one that was away said so itself: podman may have given it another address."""
    (address,) = lab.engine.addresses(WORKER)
    return lab.cluster.problems() == [] and address in str(lab.get("node", WORKER)["status"]["addresses"])


def state(lab: Lab) -> str:
    return lab.engine.must("inspect", "--format", "{{.State.Status}}", WORKER)


def test_a_paused_node_comes_back_in_time_though_its_runner_was_killed(lab: Lab) -> None:
    runner = subprocess.Popen([sys.executable, "-c", RUNNER], stdout=subprocess.PIPE, text=True)
    assert runner.stdout is not None
    assert runner.stdout.readline() == "away\n"
    away = time.monotonic()
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    assert state(lab) == "paused"
    listed = caplab("faults")
    assert (listed.code, WORKER in listed.out) == (0, True), listed
    seconds = wait_until("it runs again", lambda: state(lab) == "running", 20)
    print(f"\npaused {time.monotonic() - away:.1f} s, asked for 6 s")
    assert 4 < seconds < 8
    assert "nothing is live" in caplab("faults").out


def test_a_paused_node_is_brought_back_at_once_by_caplab_heal(lab: Lab) -> None:
    (lost,) = nodes.pause_node(node=WORKER, seconds=600)
    assert (lost["kind"], lost["proven"], state(lab)) == ("pause-node", True, "paused")
    healed = caplab("heal")
    print(f"\n{healed.out}")
    assert (healed.code, state(lab)) == (0, "running")


@pytest.mark.long
@pytest.mark.parametrize("way", [nodes.kill_node, nodes.stop_node, nodes.restart_node])
def test_a_node_that_went_down_starts_again_and_is_ready(lab: Lab, way: object) -> None:
    assert callable(way)
    (lost,) = way(node=WORKER, seconds=3)
    assert lost["proven"]
    wait_until("it runs again", lambda: state(lab) == "running", 30)
    seconds = wait_until("every node Ready", lambda: is_ready(lab), 120)
    print(f"\n{lost['kind']}: {lost['evidence']}, Ready {seconds:.1f} s after it ran again")


def test_neither_the_control_plane_nor_a_second_node_is_taken(lab: Lab) -> None:
    with pytest.raises(ActivityFailed, match="control plane"):
        nodes.pause_node(node=CONTROL_PLANE, seconds=5)
    nodes.pause_node(node=WORKER, seconds=60)
    with pytest.raises(ActivityFailed, match="max_nodes"):
        nodes.pause_node(node=WORKERS[0], seconds=5)
