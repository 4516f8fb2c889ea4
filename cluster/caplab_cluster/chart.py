"""The lab's Helm chart: installed and upgraded when it, or an image it names, has changed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from .digest import digest
from .failure import Failure
from .images import lab_images
from .kind_cluster import CONTEXT, KindCluster
from .paths import CHART, Cache
from .progress import Progress
from .shell import ask
from .toolchain import Tools

RELEASE = "caplab"
NAMESPACE = "caplab-system"
VALUES_VARIABLE = "CAPLAB_VALUES"  # files of Helm values that the user adds to the lab's own
_ENGINES = CHART / "files" / "engines.json"  # written by caplab/contract/engines.py; an installed wheel has no chart
_READY_SECONDS = 90
_PROBERS = "app.kubernetes.io/name=caplab-prober"
# The agents are privileged: they kill and freeze processes of other pods. Warnings show whatever else is not
# restricted.
_POD_SECURITY = tuple(
    f"pod-security.kubernetes.io/{mode}" for mode in ("enforce=privileged", "warn=restricted", "audit=restricted")
)


def ensure(
    progress: Progress,
    cache: Cache,
    tools: Tools,
    cluster: KindCluster,
    images: Mapping[str, str],
    user_files: Sequence[Path],
) -> None:
    """Install or upgrade the release, and wait until the operator runs."""
    values = values_of(images)
    ids = json.dumps(dict(cluster.recorded_ids()), sort_keys=True)
    wanted = digest(
        [CHART], json.dumps(values, sort_keys=True), ids, *_POD_SECURITY, *(file.read_text() for file in user_files)
    )
    note = cache.cluster / "chart"
    with progress.step("chart installed") as step:
        if note.exists() and note.read_text() == wanted and _is_intact(cache, tools, cluster):
            step.mark_ready()
            return
        file = cache.cluster / "values.json"  # JSON is YAML
        file.write_text(json.dumps(values, indent=1) + "\n")
        _delete_unfinished_release(cluster)
        step.run(
            [tools.helm, "upgrade", RELEASE, str(CHART), "--install", "--namespace", NAMESPACE, "--create-namespace",
             "--kubeconfig", str(cache.kubeconfig), "--kube-context", CONTEXT, "--values", str(file),
             *(f"--values={file}" for file in user_files), "--wait", "--timeout", f"{_READY_SECONDS}s"]
        )  # fmt: skip
        cluster.kubectl("label", "namespace", NAMESPACE, "--overwrite", *_POD_SECURITY)
        note.write_text(wanted)


@cache
def _engines() -> tuple[Mapping[str, Any], ...]:
    return tuple(json.loads(_ENGINES.read_text()))


def exporter_images() -> tuple[str, ...]:
    """Name the images of the engines' exporters."""
    return tuple(engine["exporter"] for engine in _engines() if engine["exporter"])


def used_images() -> tuple[str, ...]:
    """Name the images that the chart needs in any case."""
    lab = ("agent", "operator", "prober", "prometheus", "runner")
    return (*lab, *(engine["name"] for engine in _engines()), *exporter_images())


def values_of(images: Mapping[str, str]) -> dict[str, Any]:
    """Return the chart's values for the images that exist: Grafana is installed if its image is there."""
    used = [*used_images(), *(name for name in lab_images.ONLY_PULLED if name in images)]
    return {"images": {name: images[name] for name in used}, "grafana": {"enabled": "grafana" in images}}


def kept_values(cache: Cache) -> Path:
    """Return the folder of the values that the user added to the lab's own, while the cluster is there."""
    return cache.cluster / "user-values"


def user_values(environment: Mapping[str, str], kept: Path) -> list[Path]:
    """Return the files of Helm values that the user adds to the lab's own; a later one overrides an earlier one.

    CAPLAB_VALUES names them, separated by colons. Copies go to the folder `kept`, and a later start without that
    variable uses the copies: `make chaos` does not turn off what `make up` turned on. An empty one forgets them.

    Raises Failure where a named file is missing.
    """
    if (names := environment.get(VALUES_VARIABLE)) is None:
        return sorted(kept.glob("*.yaml"))
    files = [Path(name).absolute() for name in names.split(":") if name]
    for file in files:
        if not file.is_file():
            raise Failure(
                f"{VALUES_VARIABLE} names {file}, which does not exist.", "Name an existing file of Helm values."
            )
    contents = [file.read_bytes() for file in files]  # one of them may be a copy that is kept
    shutil.rmtree(kept, ignore_errors=True)
    if not contents:
        return []
    kept.mkdir(parents=True)
    copies = [kept / f"{number:02}.yaml" for number in range(len(contents))]
    for copy, content in zip(copies, contents, strict=True):
        copy.write_bytes(content)
    return copies


def grafana_or_why_not(official: Mapping[str, str]) -> str:
    """Return one sentence: which Grafana is installed, or why none is and what replaces it."""
    if image := official.get("grafana"):
        return f"{image}: `make dashboards` opens it"
    return "none, because its image cannot be pulled: `make dashboards` opens Prometheus' own page instead"


def _delete_unfinished_release(cluster: KindCluster) -> None:
    """Drop the record of a helm that died half-way: it would refuse every later upgrade."""
    unfinished = f"owner=helm,name={RELEASE},status in (pending-install,pending-upgrade,pending-rollback)"
    cluster.kubectl("delete", "secret", "--namespace", NAMESPACE, "--selector", unfinished)


def _is_intact(cache: Cache, tools: Tools, cluster: KindCluster) -> bool:
    """Return whether all that the chart made exists and works together: it may have been changed by hand."""
    return _operator_available(cluster) and _all_objects_exist(cache, tools, cluster) and _probers_have_token(cluster)


def _all_objects_exist(cache: Cache, tools: Tools, cluster: KindCluster) -> bool:
    where = ["--kubeconfig", str(cache.kubeconfig), "--kube-context", CONTEXT]
    made = ask([tools.helm, "get", "manifest", RELEASE, "--namespace", NAMESPACE, *where])
    return made.ok and cluster.kubectl("get", "--filename", "-", "--output", "name", stdin=made.out).ok


def _probers_have_token(cluster: KindCluster) -> bool:
    """Return whether the probers were made with the Secret's token (templates/prober.yaml): they read it once."""
    in_namespace = ("--namespace", NAMESPACE, "--output")
    token = cluster.kubectl("get", "secret", "caplab-prober-token", *in_namespace, "jsonpath={.data.token}").out
    noted = r'jsonpath={range .items[*]}{.spec.template.metadata.annotations.caplab\.dev/token}{"\n"}{end}'
    made_with = cluster.kubectl("get", "daemonsets", "--selector", _PROBERS, *in_namespace, noted).out.split()
    return bool(token) and set(made_with) == {hashlib.sha256(token.encode()).hexdigest()[:12]}


def _operator_available(cluster: KindCluster) -> bool:
    condition = "jsonpath={.status.availableReplicas}"
    answer = cluster.kubectl("get", "deployment", "caplab-operator", "--namespace", NAMESPACE, "-o", condition)
    return answer.ok and answer.out.strip() == "1"
