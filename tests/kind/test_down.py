"""`make down`, the last of all tests: it removes the cluster, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from caplab_cluster import registry
from caplab_cluster.engine import KIND_CLUSTER_LABEL
from caplab_cluster.kind_cluster import NETWORK, NODES
from support.kind.foreign_containers import start_foreign_container
from support.kind.kind_lab import Lab, run_make
from support.kind.lab_state import digest_of

pytestmark = pytest.mark.last


@pytest.fixture
def foreign(lab: Lab) -> Iterator[str]:
    """Somebody else's kind node on the same engine."""
    name = start_foreign_container(lab, "--label", f"{KIND_CLUSTER_LABEL}=caplab-other")
    yield name
    lab.engine.remove([name])


def test_down_removes_the_cluster_its_registry_and_network_and_nothing_else(
    lab: Lab, foreign: str, tmp_path: Path
) -> None:
    kubeconfig = tmp_path / "mine"
    kubeconfig.write_text("apiVersion: v1\nkind: Config\ncurrent-context: mine\n")
    before = (kubeconfig.read_text(), digest_of(Path("/etc")))
    environment = {"KUBECONFIG": str(kubeconfig)}
    for expected in (NODES[0], "nothing"):  # twice is safe
        answer = run_make("down", **environment)
        assert answer.ok, answer.err
        assert expected in answer.out
    assert lab.cluster.containers() == []
    assert not lab.engine.ask("container", "inspect", registry.NAME).ok
    assert not lab.engine.ask("volume", "inspect", registry.VOLUME).ok
    assert not lab.engine.ask("network", "inspect", NETWORK).ok
    assert lab.engine.must("inspect", "--format", "{{.State.Status}}", foreign) == "running"
    status = run_make("status", **environment)
    assert (status.code, "There is no cluster caplab." in status.err) == (2, True)  # make's own exit code
    assert (kubeconfig.read_text(), digest_of(Path("/etc"))) == before
