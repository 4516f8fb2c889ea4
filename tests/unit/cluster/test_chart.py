"""`make up` takes the chart for installed only where all of it is there, and its token is what the probers hold."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from caplab_cluster import chart
from caplab_cluster.failure import Failure
from caplab_cluster.paths import Cache
from caplab_cluster.shell import CommandResult
from caplab_cluster.toolchain import Tools

TOKEN = "dG9rZW4="
HASH = hashlib.sha256(TOKEN.encode()).hexdigest()[:12]
MANIFEST = "kind: Secret\n"


class Cluster:
    """Answers kubectl; what is missing of the release fails it, as with kubectl."""

    def __init__(self, available: str = "1", missing: bool = False, token: str = TOKEN, probers: str = HASH) -> None:
        self.available, self.missing, self.token = available, missing, token
        self.probers = f"{HASH}\n{probers}\n"
        self.stdin: str | None = None

    def kubectl(self, *arguments: str, stdin: str | None = None) -> CommandResult:
        match arguments[1]:
            case "deployment":
                return CommandResult(0, self.available, "")
            case "secret":
                return CommandResult(0 if self.token else 1, self.token, "")
            case "daemonsets":
                return CommandResult(0, self.probers, "")
        self.stdin = stdin
        return CommandResult(int(self.missing), "", "secrets not found")


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    helm = tmp_path / "helm"
    helm.write_text(f"#!/bin/sh\nprintf '{MANIFEST}'\n")
    helm.chmod(0o755)
    return Tools("kind", "kubectl", str(helm))


def is_intact(cluster: Any, tools: Tools) -> bool:
    return chart._is_intact(Cache(Path(os.devnull)), tools, cluster)


def test_values_of_ones_own_are_files_that_are_there(tmp_path: Path) -> None:
    mine, other, kept = tmp_path / "mine.yaml", tmp_path / "other.yaml", tmp_path / "kept"
    mine.write_text("schedule: {enabled: true}")
    assert chart.user_values({}, kept) == []
    with pytest.raises(Failure, match=r"CAPLAB_VALUES names .*other\.yaml, which does not exist"):
        chart.user_values({"CAPLAB_VALUES": f"{mine}:{other}"}, kept)
    other.write_text("{}")
    files = chart.user_values({"CAPLAB_VALUES": f"{mine}:{other}"}, kept)
    assert [file.read_text() for file in files] == ["schedule: {enabled: true}", "{}"]


def test_values_of_ones_own_are_kept_until_others_are_named_or_none(tmp_path: Path) -> None:
    mine, other, kept = tmp_path / "mine.yaml", tmp_path / "other.yaml", tmp_path / "kept"
    mine.write_text("mine: 1")
    other.write_text("other: 1")
    chart.user_values({"CAPLAB_VALUES": f"{mine}:{other}"}, kept)
    mine.unlink()  # whatever becomes of the file
    assert [file.read_text() for file in chart.user_values({}, kept)] == ["mine: 1", "other: 1"]
    with pytest.raises(Failure):
        chart.user_values({"CAPLAB_VALUES": str(mine)}, kept)
    assert len(chart.user_values({}, kept)) == 2, "a mistake loses nothing"
    again = chart.user_values({"CAPLAB_VALUES": str(kept / "01.yaml")}, kept)
    assert [file.read_text() for file in again] == ["other: 1"]
    assert chart.user_values({"CAPLAB_VALUES": ""}, kept) == []
    assert chart.user_values({}, kept) == []


def test_what_is_all_there_stands(tools: Tools) -> None:
    cluster = Cluster()
    assert is_intact(cluster, tools)
    assert cluster.stdin == MANIFEST


@pytest.mark.parametrize(
    "cluster",
    [
        pytest.param(Cluster(available=""), id="no operator"),
        pytest.param(Cluster(missing=True), id="something was deleted by hand"),
        pytest.param(Cluster(token=""), id="no token"),
        pytest.param(Cluster(token="YW5vdGhlcg=="), id="another token"),
        pytest.param(Cluster(probers="ffffffffffff"), id="one prober has another"),
    ],
)
def test_what_was_deleted_or_changed_by_hand_does_not_stand(cluster: Cluster, tools: Tools) -> None:
    assert not is_intact(cluster, tools)


def test_a_release_that_helm_does_not_know_does_not_stand(tools: Tools) -> None:
    Path(tools.helm).write_text("#!/bin/sh\nexit 1\n")
    assert not is_intact(Cluster(), tools)
