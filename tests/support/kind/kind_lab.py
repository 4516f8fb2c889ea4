"""The lab's real cluster as the kind tests use it, and the objects that they create on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caplab_cluster.engine import ContainerEngine
from caplab_cluster.kind_cluster import KindCluster
from caplab_cluster.paths import REPOSITORY, Cache
from caplab_cluster.progress import Progress
from caplab_cluster.setup_context import SetupContext, begin, built_tools
from caplab_cluster.shell import CommandResult, ask
from caplab_cluster.toolchain import Tools

from support.kind.api_reader import ApiReader


def run_make(target: str, **environment: str) -> CommandResult:
    """Run one make target of this checkout, to its end."""
    env = {**os.environ, **environment}
    done = subprocess.run(["make", "-s", target], cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)
    return CommandResult(done.returncode, done.stdout, done.stderr)


def caplab(*arguments: str) -> CommandResult:
    """Run one caplab command of this environment, to its end."""
    command = [str(Path(sys.executable).parent / "caplab"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return CommandResult(done.returncode, done.stdout, done.stderr)


def wait_until(what: str, condition: Callable[[], bool], within_seconds: float = 60) -> float:
    """Wait until a condition holds. Returns the seconds this took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < within_seconds, f"not within {within_seconds:g} s: {what}"
        time.sleep(0.2)
    return time.monotonic() - started


@dataclass(frozen=True, kw_only=True)
class Lab:
    """The cluster, and the means to query it."""

    cache: Cache
    engine: ContainerEngine
    cluster: KindCluster
    tools: Tools  # found once: it takes 0.27 s of CPU time, since it asks each engine and tool of the machine
    images: dict[str, str]
    reader: ApiReader

    def kubectl(self, *arguments: str, timeout_seconds: float = 120) -> str:
        answer = self.cluster.kubectl(*arguments, timeout_seconds=timeout_seconds)
        assert answer.ok, f"kubectl {' '.join(arguments)}: {answer.err}"
        return answer.out

    def get(self, *arguments: str) -> Any:
        """Return what `kubectl get` with these arguments would print as JSON."""
        return self.reader.get(*arguments)

    def apply(self, *objects: dict[str, Any]) -> None:
        answer = self.try_apply(*objects)
        assert answer.ok, answer.err

    def kubectl_command(self) -> list[str]:
        """Return the command of kubectl, for the caller's own process."""
        return [self.tools.kubectl, "--kubeconfig", str(self.cache.kubeconfig)]

    def try_apply(self, *objects: dict[str, Any]) -> CommandResult:
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        return ask([*self.kubectl_command(), "apply", "-f", "-"], stdin=document)

    def inside(self, namespace: str, pod: str, *command: str) -> CommandResult:
        return self.cluster.kubectl("exec", "-n", namespace, pod, "--", *command, timeout_seconds=30)


def setup_context() -> SetupContext:
    return begin(Progress(Cache.from_environment().logs / "tests"), Cache.from_environment())


def connect() -> Lab:
    """Connect to the lab as it is now; containers' ids change when it is remade."""
    now = setup_context()
    engine = now.engine
    tools = built_tools(now)
    cluster = KindCluster(engine, now.cache, tools)
    images = json.loads((now.cache.cluster / "images.json").read_text())
    reader = ApiReader(now.cache.kubeconfig)
    return Lab(cache=now.cache, engine=engine, cluster=cluster, tools=tools, images=images, reader=reader)


def toolbox_pod(lab: Lab, zone: str) -> dict[str, Any]:
    """Make a pod of the toolbox in a zone, which answers HTTP on 8080 with its own name."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"pod-{zone}", "labels": {"zone": zone}},
        "spec": {
            "nodeSelector": {"topology.kubernetes.io/zone": zone},
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "toolbox",
                    "image": lab.images["toolbox"],
                    "imagePullPolicy": "Never",
                    "command": ["sh", "-c", "cd /tmp && echo $HOSTNAME > name && exec python3 -m http.server 8080"],
                    "readinessProbe": {"httpGet": {"path": "/name", "port": 8080}, "periodSeconds": 1},
                }
            ],
        },
    }


def service(zone: str) -> dict[str, Any]:
    """Make a Service in front of a zone's pod."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"svc-{zone}"},
        "spec": {"selector": {"zone": zone}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def in_namespace(namespace: str, *objects: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the same objects, in a namespace."""
    return [{**item, "metadata": {**item["metadata"], "namespace": namespace}} for item in objects]


def log_folder() -> Path:
    """Return the folder in which a test's output is kept."""
    folder = Cache.from_environment().logs / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
