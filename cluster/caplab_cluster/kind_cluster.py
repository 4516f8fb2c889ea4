"""The kind cluster itself: made, started, checked and removed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import registry
from .digest import digest
from .engine import KIND_CLUSTER_LABEL, Container, ContainerEngine, kind_environment
from .failure import Failure
from .paths import KIND_CONFIG, Cache
from .progress import Step
from .shell import CommandResult, ask
from .toolchain import Tools

NAME = "caplab"
NETWORK = "caplab"
CONTEXT = f"kind-{NAME}"
CONTROL_PLANE = f"{NAME}-control-plane"
WORKERS = (f"{NAME}-worker", f"{NAME}-worker2", f"{NAME}-worker3")
NODES = (CONTROL_PLANE, *WORKERS)
ZONES = ("a", "b", "c")

READY_SECONDS = 180.0
RESTART_SECONDS = 90.0
WORKER_CPU_SHARES = 4096  # four times the default
CONTROL_PLANE_CPU_SHARES = 8192  # two fifths of the processors, of which it takes a part


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """What `make up` records once a cluster is complete: container ids by name, image, configuration."""

    ids: Mapping[str, str]
    image: str
    config: str


def next_action(containers: Sequence[Container], record: ClusterRecord | None) -> tuple[str, str]:
    """Decide what to do about the existing containers: (none | create | start | recreate, why).

    Only a cluster that was once complete, with all its own containers, is kept.
    """
    if not containers:
        return "create", "there is no cluster"
    if record is None:
        return "recreate", "an earlier attempt did not finish"
    if {c.name: c.id for c in containers} != dict(record.ids):
        return "recreate", "some of its node containers are missing or foreign"
    stopped = sorted(c.name for c in containers if c.state != "running")
    if stopped:
        return "start", f"stopped: {', '.join(stopped)}"
    return "none", "its node containers are running"


def problems_of(nodes: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the nodes of a `kubectl get nodes -o json`: missing, not Ready or in other zones."""
    by_name = {item["metadata"]["name"]: item for item in nodes.get("items", [])}
    problems = [f"node {name} is missing" for name in NODES if name not in by_name]
    for name, item in sorted(by_name.items()):
        conditions = {c["type"]: c["status"] for c in item.get("status", {}).get("conditions", [])}
        if conditions.get("Ready") != "True":
            problems.append(f"node {name} is not Ready")
    zones = sorted(
        zone
        for item in by_name.values()
        if (zone := item["metadata"].get("labels", {}).get("topology.kubernetes.io/zone"))
    )
    if zones != list(ZONES):
        problems.append(f"the zones are {zones or 'not labelled'}, not {list(ZONES)}")
    return problems


class KindCluster:
    """The cluster named caplab, on one engine."""

    def __init__(self, engine: ContainerEngine, cache: Cache, tools: Tools | None = None) -> None:
        self._engine = engine
        self._cache = cache
        self._tools = tools
        self._record_file = cache.cluster / "made.json"

    def containers(self) -> list[Container]:
        """List its node containers, whatever their state."""
        return self._engine.containers(f"label={KIND_CLUSTER_LABEL}={NAME}")

    def record(self) -> ClusterRecord | None:
        """Return the record of a complete cluster, if there is one."""
        try:
            note = json.loads(self._record_file.read_text())
            return ClusterRecord(note["ids"], note["image"], note["config"])
        except (OSError, ValueError, KeyError):
            return None

    def recorded_ids(self) -> Mapping[str, str]:
        """Return the ids of the complete cluster's containers; {} if it is not complete."""
        record = self.record()
        return record.ids if record else {}

    def configuration(self) -> str:
        """Return a digest of kind-config.yaml as it is now."""
        return digest([], KIND_CONFIG.read_text())

    def kubectl(self, *arguments: str, timeout_seconds: float = 20, stdin: str | None = None) -> CommandResult:
        """Run kubectl with the lab's own kubeconfig and context."""
        kubectl = self._tools.kubectl if self._tools else "kubectl"
        flags = ["--kubeconfig", str(self._cache.kubeconfig), "--context", CONTEXT]
        return ask([kubectl, *flags, *arguments], timeout_seconds, stdin=stdin)

    def problems(self) -> list[str]:
        """Return what is wrong with the running cluster; [] if nothing is."""
        answer = self.kubectl("get", "nodes", "-o", "json", "--request-timeout=5s")
        if not answer.ok:
            return [f"the API server does not answer: {answer.err.strip().splitlines()[-1:]}"]
        return problems_of(json.loads(answer.out))

    def unresponsive_nodes(self) -> list[str]:
        """Return the nodes that run only by the engine's records: their machine died, and the records stayed."""
        return [name for name in NODES if not self._engine.exec(name, "true", timeout_seconds=10).ok]

    def raise_cpu_shares(self) -> list[str]:
        """Give the nodes precedence when processor time is short; returns the names of those that cannot have it.

        Four nodes and whatever else runs share a few cores. A prober that waits for them in the bursts of
        every second starts operations late: 98.6 % within 5 ms without this, 99.5 % with it, on two cores.
        The control plane comes before the workers. Between busy workers it would get less than it needs: with half of a
        worker's shares, on two slow cores, the API server answered nothing for 13 s after a partition of Cassandra, and
        no agent could report.
        """
        shares = {CONTROL_PLANE: CONTROL_PLANE_CPU_SHARES, **dict.fromkeys(WORKERS, WORKER_CPU_SHARES)}
        return [name for name, share in shares.items() if not self._engine.set_cpu_shares(name, share)]

    def create(self, step: Step, image: str) -> None:
        """Make the cluster with a node image."""
        assert self._tools
        self._cache.cluster.mkdir(parents=True, exist_ok=True)
        self._engine.ensure_network(NETWORK)
        # Not --wait: kind waits for the control plane only; problems() decides.
        command = [self._tools.kind, "create", "cluster", "--config", str(KIND_CONFIG), "--image", image,
                   "--name", NAME, "--retain", "--kubeconfig", str(self._cache.kubeconfig)]  # fmt: skip
        step.run(command, env=kind_environment(self._engine, NETWORK, self._cache.kubeconfig))
        # Two of them on the one control plane would only cost memory.
        self.kubectl("scale", "--namespace=kube-system", "deployment/coredns", "--replicas=1")

    def start(self, step: Step) -> None:
        """Start stopped nodes, the control plane first: the others resolve its name."""
        for name in NODES:
            self._engine.run(step, "start", name)

    def await_ready(self, step: Step, within_seconds: float) -> None:
        """Wait until every node, DNS and the volume provisioner are ready. Raises Failure, which says what is not."""
        end = time.monotonic() + within_seconds
        while problems := self.problems():
            if time.monotonic() > end:
                raise Failure(
                    f"The cluster was not ready within {within_seconds:.0f} s: {'; '.join(problems)}.",
                    "Run `make down`, then `make up`; `make status` shows the nodes.",
                    log=step.log,
                )
            time.sleep(0.5)
        for namespace, name in (("kube-system", "coredns"), ("local-path-storage", "local-path-provisioner")):
            left = max(10, int(end - time.monotonic()))
            wait = self.kubectl("rollout", "status", f"--namespace={namespace}", f"deployment/{name}",
                                f"--timeout={left}s", timeout_seconds=left + 5)  # fmt: skip
            if not wait.ok:
                raise Failure(
                    f"{name} is not ready: {wait.err.strip()}", "Run `make down`, then `make up`.", log=step.log
                )

    def note_complete(self, image: str) -> None:
        """Record that the cluster is complete."""
        ids = {container.name: container.id for container in self.containers()}
        note = {"ids": ids, "image": image, "config": self.configuration()}
        temporary = self._record_file.with_suffix(".tmp")
        temporary.write_text(json.dumps(note, indent=1))
        temporary.rename(self._record_file)

    def remove(self) -> list[str]:
        """Remove the cluster, its registry and network, and its records; returns what was removed."""
        # The record goes first: an interrupted removal must not look like a complete cluster.
        self._record_file.unlink(missing_ok=True)
        names = [container.name for container in self.containers()]
        names += [c.name for c in self._engine.containers(f"name={registry.NAME}") if c.name == registry.NAME]
        self._engine.remove(names)
        self._engine.remove_network(NETWORK)
        self._cache.kubeconfig.unlink(missing_ok=True)
        return names


def kubernetes_version(answer: CommandResult) -> str:
    """Return the server's version in `kubectl version -o json`; '' if it is not there."""
    try:
        return str(json.loads(answer.out)["serverVersion"]["gitVersion"])
    except (ValueError, KeyError):
        return ""


def refuse_other_minor(server: str, wanted: str) -> None:
    """Raise Failure if a running cluster has another minor version of Kubernetes than the lab."""
    if server.removeprefix("v").split(".")[:2] != wanted.split(".")[:2]:
        raise Failure(
            f"The cluster {NAME} runs Kubernetes {server}, and this version of the lab needs {wanted}.",
            "Run `make down`, then `make up`.",
        )
