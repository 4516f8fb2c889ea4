"""The chart: linted, strict about its values, and gone without a trace."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from caplab_cluster.chart import NAMESPACE, RELEASE
from caplab_cluster.kind_cluster import CONTEXT
from caplab_cluster.paths import CHART
from caplab_cluster.session import built_tools
from caplab_cluster.shell import Answer, ask
from kind_lab import Lab, await_that, run_make, session


def helm(lab: Lab, *arguments: str) -> Answer:
    program = built_tools(session()).helm
    flags = ["--kubeconfig", str(lab.cache.kubeconfig), "--kube-context", CONTEXT, "--namespace", NAMESPACE]
    return ask([program, *arguments, *flags], timeout_seconds=120)


def test_helm_lint_finds_nothing(lab: Lab) -> None:
    answer = helm(lab, "lint", "--strict", str(CHART), "--values", str(lab.cache.cluster / "values.json"))
    assert answer.ok, answer.out + answer.err


def test_a_value_that_is_missing_or_misspelt_is_named(lab: Lab) -> None:
    missing = helm(lab, "template", str(CHART))
    assert "images" in missing.err
    assert not missing.ok
    misspelt = helm(lab, "template", str(CHART), "--values", str(lab.cache.cluster / "values.json"), "--set", "imges=1")
    assert not misspelt.ok
    assert "imges" in misspelt.err


def test_an_uninstall_leaves_nothing_and_up_brings_it_all_back(lab: Lab) -> None:
    assert helm(lab, "uninstall", RELEASE, "--wait").ok
    await_that("the kinds are gone", lambda: "caplab.dev" not in lab.kubectl("get", "crd", "-o", "name"))
    assert "caplab" not in lab.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")
    left = ("get", "all,serviceaccounts", "-n", NAMESPACE, "-o", "name")
    await_that("its pod is gone", lambda: "caplab-operator" not in lab.kubectl(*left))
    answer = run_make("up")
    assert answer.ok, answer.err
    assert lab.get("deployment", "-n", NAMESPACE, "caplab-operator")["status"]["availableReplicas"] == 1


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
        assert lab.get("crd", "postgresclusters.caplab.dev")["spec"]["names"]["shortNames"] == ["pgc", "pgnew"]
    finally:
        assert helm(lab, "upgrade", RELEASE, str(CHART), *values).ok


def test_up_mends_a_release_whose_helm_was_killed(lab: Lab) -> None:
    program = built_tools(session()).helm
    flags = ["--kubeconfig", str(lab.cache.kubeconfig), "--kube-context", CONTEXT, "--namespace", NAMESPACE]
    values = ["--values", str(lab.cache.cluster / "values.json"), "--set", "images.operator=no/such:image"]
    process = subprocess.Popen([program, "upgrade", RELEASE, str(CHART), *values, *flags, "--wait"])
    await_that("helm is at it", lambda: "pending-upgrade" in helm(lab, "status", RELEASE).out)
    process.kill()
    process.wait()
    (lab.cache.cluster / "chart").unlink()
    answer = run_make("up")
    assert answer.ok, answer.err
    assert "STATUS: deployed" in helm(lab, "status", RELEASE).out
