from __future__ import annotations

from pathlib import Path

import pytest

from caplab import kube
from caplab.kube import ContextRefused, check_context, connect

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: {current}
clusters: [{{name: c, cluster: {{server: "http://127.0.0.1:1"}}}}]
users: [{{name: u, user: {{}}}}]
contexts:
- {{name: kind-caplab, context: {{cluster: c, user: u}}}}
- {{name: production, context: {{cluster: c, user: u}}}}
"""


def kubeconfig(folder: Path, current: str) -> Path:
    path = folder / "config"
    path.write_text(KUBECONFIG.format(current=current))
    return path


def test_a_kind_clusters_context_is_used_and_any_other_must_be_named() -> None:
    assert check_context("kind-caplab", None) == "kind-caplab"
    assert check_context("kind-caplab", "production") == "production"
    with pytest.raises(ContextRefused, match=r"'production' is not a kind cluster's.*Mend"):
        check_context("production", None)
    with pytest.raises(ContextRefused, match="no current kube context"):
        check_context(None, None)


def test_a_client_is_made_from_the_kubeconfig(tmp_path: Path) -> None:
    assert connect(kubeconfig=kubeconfig(tmp_path, "kind-caplab")).configuration.host == "http://127.0.0.1:1"
    assert connect("production", kubeconfig(tmp_path, "kind-caplab")).configuration.host == "http://127.0.0.1:1"
    with pytest.raises(ContextRefused):
        connect(kubeconfig=kubeconfig(tmp_path, "production"))


def test_a_named_context_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContextRefused, match="'kind-gone' is of no use"):
        connect("kind-gone", kubeconfig(tmp_path, "kind-caplab"))


def test_without_a_kubeconfig_the_mend_is_said(tmp_path: Path) -> None:
    with pytest.raises(ContextRefused, match="make up"):
        connect(kubeconfig=tmp_path / "none")


def test_inside_a_cluster_the_pods_own_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(kube, "_TOKEN", tmp_path / "token")
    assert not kube.in_cluster()
    (tmp_path / "token").write_text("t")
    assert kube.in_cluster()
