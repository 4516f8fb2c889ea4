"""The lab's release on the real cluster, upgraded with other values."""

from __future__ import annotations

from caplab_cluster import shell
from caplab_cluster.chart import NAMESPACE, RELEASE
from caplab_cluster.kind_cluster import CONTEXT
from caplab_cluster.paths import CHART

from support.kind.kind_lab import Lab

UNWATCHED = ("prometheus.enabled=false", "exporters.enabled=false")


def upgrade(lab: Lab, *settings: str) -> None:
    """Upgrade to the values of `make up` and the given ones; without any, back to the values of `make up`."""
    values = ["--values", str(lab.cache.cluster / "values.json"), *(f"--set={setting}" for setting in settings)]
    flags = ["--kubeconfig", str(lab.cache.kubeconfig), "--kube-context", CONTEXT, "--namespace", NAMESPACE]
    helm = lab.tools.helm
    command = [helm, "upgrade", RELEASE, str(CHART), *values, *flags, "--wait", "--timeout=60s"]
    answer = shell.ask(command, timeout_seconds=90)
    assert answer.ok, answer.err
