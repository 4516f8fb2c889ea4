"""The release: gone without a trace, upgraded, and mended."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from caplab_cluster.chart import NAMESPACE, RELEASE
from caplab_cluster.kind_cluster import CONTEXT
from caplab_cluster.paths import CHART
from caplab_cluster.shell import CommandResult, ask
from support.kind.fault_objects import fault, phase_is
from support.kind.kind_lab import Lab, run_make, wait_until
from support.kind.lab_state import gate_files
from support.kind.postgres_cluster import await_status, is_ready, postgres

from caplab.contract.names import API_VERSION, CHAOS_LABEL, GROUP

pytestmark = pytest.mark.alone


def helm(lab: Lab, *arguments: str) -> CommandResult:
    program = lab.tools.helm
    flags = ["--kubeconfig", str(lab.cache.kubeconfig), "--kube-context", CONTEXT, "--namespace", NAMESPACE]
    return ask([program, *arguments, *flags], timeout_seconds=120)


def test_an_uninstall_leaves_nothing_not_even_a_live_fault_and_up_brings_it_all_back(lab: Lab, namespace: str) -> None:
    """A member that is kept down, and an object that somebody else's finalizer holds."""
    lab.kubectl("label", "namespace", namespace, f"{CHAOS_LABEL}=allowed")
    lab.apply(postgres(namespace, durability="quorum"))
    await_status(lab, namespace, "three members Ready", is_ready(3))
    lab.apply(fault(namespace, seconds=3000), stuck_run(namespace))
    wait_until("the fault is live", lambda: phase_is(lab, namespace, "Active"), 10)
    assert gate_files(lab)

    answer = helm(lab, "uninstall", RELEASE, "--wait")
    assert answer.ok, answer.err
    assert gate_files(lab) == []
    wait_until("the kinds are gone", lambda: GROUP not in lab.kubectl("get", "crd", "-o", "name"))
    everywhere = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"
    assert "caplab" not in lab.kubectl("get", everywhere, "-o", "name")
    left = ("get", "all,serviceaccounts", "-n", NAMESPACE, "-o", "name")
    wait_until("its pods are gone", lambda: "caplab-" not in lab.kubectl(*left))
    wait_until(
        "the members are gone", lambda: "pod/pg" not in lab.kubectl("get", "pods", "-n", namespace, "-o", "name")
    )
    answer = run_make("up")
    assert answer.ok, answer.err
    assert lab.get("deployment", "-n", NAMESPACE, "caplab-operator")["status"]["availableReplicas"] == 1


def stuck_run(namespace: str) -> dict[str, Any]:
    """A Run that would never go by itself."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Run",
        "metadata": {"name": "stuck", "namespace": namespace, "finalizers": ["example.com/never"]},
        "spec": {"experiment": "e", "engine": "postgres", "mode": "async", "fault": "none"},
    }


def test_an_upgrade_reaches_the_kinds(lab: Lab, tmp_path: Path) -> None:
    """Helm never touches what is in crds/: the kinds are templates."""
    newer = tmp_path / "caplab"
    shutil.copytree(CHART, newer)
    kind = newer / "templates" / "crds" / "postgrescluster.yaml"
    kind.write_text(kind.read_text().replace("shortNames: [pgc]", "shortNames: [pgc, pgnew]"))
    values = ["--values", str(lab.cache.cluster / "values.json")]
    try:
        answer = helm(lab, "upgrade", RELEASE, str(newer), *values)
        assert answer.ok, answer.err
        assert lab.get("crd", f"postgresclusters.{GROUP}")["spec"]["names"]["shortNames"] == ["pgc", "pgnew"]
    finally:
        assert helm(lab, "upgrade", RELEASE, str(CHART), *values).ok


def test_up_mends_a_release_whose_helm_was_killed(lab: Lab) -> None:
    program = lab.tools.helm
    flags = ["--kubeconfig", str(lab.cache.kubeconfig), "--kube-context", CONTEXT, "--namespace", NAMESPACE]
    values = ["--values", str(lab.cache.cluster / "values.json"), "--set", "images.operator=no/such:image"]
    process = subprocess.Popen([program, "upgrade", RELEASE, str(CHART), *values, *flags, "--wait"])
    wait_until("helm is at it", lambda: "pending-upgrade" in helm(lab, "status", RELEASE).out)
    process.kill()
    process.wait()
    (lab.cache.cluster / "chart").unlink()
    answer = run_make("up")
    assert answer.ok, answer.err
    assert "STATUS: deployed" in helm(lab, "status", RELEASE).out
