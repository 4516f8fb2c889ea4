"""A cluster of any kind for the kind tests: create it, change it, wait for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from caplab_cluster.chart import NAMESPACE as LAB_NAMESPACE
from caplab_cluster.shell import ask

from caplab.contract.names import API_VERSION, CLUSTER_LABEL, PART_LABEL
from support.kind.kind_lab import Lab, wait_until

Status = Mapping[str, Any]
# Objects that are removed with their cluster, of every engine; volumes may be kept.
_GOING = (
    "pods,statefulsets,services,endpoints,endpointslices,secrets,configmaps,serviceaccounts,roles,rolebindings,pdb,"
    "networkpolicies"
)
_OF_EVERY_NAMESPACE = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}


def body(kind: str, namespace: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}


def defaulted(lab: Lab, namespace: str, kind: str) -> dict[str, Any]:
    """Make a cluster x as the API server would store it, with defaults, a uid and a generation; it is not created."""
    document = json.dumps(body(kind, namespace, "x", {}))
    answer = ask([*lab.kubectl_command(), "create", "--dry-run=server", "-o", "json", "-f", "-"], stdin=document)
    assert answer.ok, answer.err
    cluster: dict[str, Any] = json.loads(answer.out)
    return cluster


def leftovers(lab: Lab, namespace: str, *more: str) -> set[str]:
    """Return the objects that a namespace still has of the kinds that belong to clusters, and of further kinds."""
    items = lab.get(",".join([_GOING, *more]), "-n", namespace)["items"]
    return {f"{item['kind']}/{item['metadata']['name']}" for item in items} - _OF_EVERY_NAMESPACE


def await_gone(lab: Lab, namespace: str, *more: str, within_seconds: float = 90) -> None:
    """Wait until a namespace has none of these any more; a failure names what is left."""
    try:
        wait_until("every object is gone", lambda: not leftovers(lab, namespace, *more), within_seconds)
    except AssertionError as late:
        raise AssertionError(f"{late}; left: {sorted(leftovers(lab, namespace, *more))}") from late


@dataclass(frozen=True, kw_only=True)
class ClusterObject:
    """One cluster: kind, namespace and name."""

    lab: Lab
    kind: str
    namespace: str
    name: str
    timeout_seconds: float = 90.0

    def apply(self, **spec: Any) -> None:
        self.lab.apply(body(self.kind, self.namespace, self.name, spec))

    def change(self, **spec: Any) -> None:
        patch = ("--type=merge", "-p", json.dumps({"spec": spec}))
        self.lab.kubectl("patch", self.kind, "-n", self.namespace, self.name, *patch)

    def read(self) -> dict[str, Any]:
        body: dict[str, Any] = self.lab.get(self.kind, "-n", self.namespace, self.name)
        return body

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.read().get("status", {})
        return status

    def await_status(self, what: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        try:
            wait_until(what, lambda: holds(self.status()), self.timeout_seconds)
        except AssertionError as missed:
            raise AssertionError(f"{missed}\n{self.described()}") from missed
        return self.status()

    def described(self) -> str:
        """Describe it when it is not as it should be: its status, its pods, the end of their logs."""
        parts = [json.dumps(self.status(), indent=1)]
        for name, pod in sorted(self.pods().items()):
            parts.append(f"{name}: {json.dumps(pod['status'].get('containerStatuses', pod['status']))}")
            parts.append(self.lab.cluster.kubectl("logs", "-n", self.namespace, name, "--tail=25").out)
        operator = ("logs", "-n", LAB_NAMESPACE, "deployment/caplab-operator", "--tail=25")
        return "\n".join([*parts, self.lab.cluster.kubectl(*operator).out])

    def await_ready(self, members: int) -> dict[str, Any]:
        """Wait until it is Ready by the latest spec, with nothing left to do."""
        generation = self.read()["metadata"]["generation"]
        return self.await_status(
            f"{self.name} is Ready with {members} members",
            lambda status: (
                (status.get("phase"), status.get("readyMembers")) == ("Ready", members)
                and status.get("observedGeneration") == generation
                and "rollout" not in status
            ),
        )

    def pods(self) -> dict[str, dict[str, Any]]:
        """Return its members' pods by name."""
        selector = f"{CLUSTER_LABEL}={self.name},{PART_LABEL}=member"
        pods = self.lab.get("pods", "-n", self.namespace, "-l", selector)["items"]
        return {pod["metadata"]["name"]: pod for pod in pods}

    def uids(self) -> dict[str, str]:
        return {name: pod["metadata"]["uid"] for name, pod in self.pods().items()}

    def await_replaced(self, before: dict[str, str]) -> None:
        """Wait until each of those pods is replaced and ready: a status may be a second old and of the former pods."""

        def replaced() -> bool:
            ready = {name: pod["metadata"]["uid"] for name, pod in self.pods().items() if _is_ready(pod)}
            return ready.keys() >= before.keys() and not set(before.values()) & set(ready.values())

        wait_until(f"{', '.join(before)} are replaced", replaced, self.timeout_seconds)

    def volume(self, member: str) -> str:
        """Return the uid of a member's volume; '' if it has none."""
        claims = self.lab.get("pvc", "-n", self.namespace)["items"]
        return next((pvc["metadata"]["uid"] for pvc in claims if pvc["metadata"]["name"] == f"data-{member}"), "")

    def wipe(self, member: str) -> None:
        """Replace a member's volume by an empty one."""
        volume = self.volume(member)
        self.lab.kubectl("delete", "pvc", "-n", self.namespace, f"data-{member}", "--wait=false")
        self.lab.kubectl("delete", "pod", "-n", self.namespace, member)
        wait_until("it has another volume", lambda: self.volume(member) not in ("", volume))


def _is_ready(pod: dict[str, Any]) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod["status"].get("conditions", ())
    )
