"""The API server as a run uses it from outside the cluster: the lab's objects, pods, and commands in pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from caplab.contract import meta
from caplab.contract.names import ALLOWED, API_VERSION, CHAOS_LABEL, SYSTEM_NAMESPACE, VANTAGE_LABEL
from caplab.contract.ports import PROBER_METRICS
from caplab.contract.probers import TOKEN_HEADER
from caplab.kube.client import Body, Client
from caplab.kube.context import pinned
from caplab.kube.errors import ApiError, Conflict, Forbidden
from caplab.kube.paths import path_of
from caplab.kube.probers import read_token
from caplab.ownership import MANAGER, labels_of, run_of
from caplab.run_context import RunContext
from caplab.run_lease import Leases

# Five times the compressed history of eight hours at 1,000 operations a second.
_MAX_HISTORY_BYTES = 1 << 30
_SWITCHOVER_SECONDS = 30.0  # Redis ends one after 27 s, Postgres after 12
_SECONDS_FOR_A_HISTORY = 600.0


class NotOurs(Exception):
    """The current run may not remove or change an object; the message names it, and gives the hint."""


class Server(Leases):
    """A client of the API server. Calls block, each with a time-out, and raise ApiError.

    Objects that it makes are labelled with its run and its suite session.
    """

    def __init__(self, run: RunContext, client: Client | None = None) -> None:
        self.run = run
        self._client = (client or pinned().client).limited(connect_seconds=5.0, read_seconds=30.0)
        super().__init__(self._client)

    def apply(self, kind: str, namespace: str, name: str, spec: Mapping[str, Any]) -> Body:
        """Create one of the lab's objects, or give it this spec. Returns the object."""
        return self._client.apply({**self._head(kind, namespace, name), "spec": dict(spec)}, MANAGER)

    def create(self, kind: str, namespace: str, name: str, spec: Mapping[str, Any]) -> Body:
        """Create a new object. Returns it. Raises Conflict if one of that name exists."""
        return self._client.create({**self._head(kind, namespace, name), "spec": dict(spec)}, MANAGER)

    def replace(self, kind: str, body: Body, spec: Mapping[str, Any]) -> Body:
        """Replace an object's spec, and add the run's labels. Raises Conflict if the object has changed."""
        labels = {**meta.labels_of(body), **self._labels()}
        head = {"apiVersion": API_VERSION, "kind": kind, "metadata": {**body["metadata"], "labels": labels}}
        return self._client.replace({**body, **head, "spec": dict(spec)}, MANAGER)

    def apply_status(self, kind: str, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        """Set the status of one of the lab's objects."""
        self._client.apply_status({**_named(kind, namespace, name), "status": dict(status)}, MANAGER)

    def get(self, kind: str, namespace: str, name: str) -> Body | None:
        """Read an object; None if it does not exist."""
        return self._client.get(API_VERSION, kind, namespace, name)

    def list(self, kind: str, namespace: str) -> Sequence[Body]:
        """List all objects of a kind in a namespace."""
        return self._client.list_all(API_VERSION, kind, namespace)

    def remove(self, kind: str, body: Body) -> None:
        """Delete exactly this object, which a run has made; it is no error if the object is gone already.

        A run may always remove what it has made itself; what other runs left, only in its own namespace, and while it
        holds that. Raises NotOurs.
        """
        if problem := not_removable(self.run, body):
            raise NotOurs(f"{kind} {full_name(body)} is left as it is: {problem}.")
        self._client.delete(API_VERSION, kind, meta.namespace_of(body), meta.name_of(body), uid=meta.uid_of(body))

    def open_namespace(self, namespace: str) -> None:
        """Create a namespace that faults may hit; an existing one keeps its labels."""
        labels = {CHAOS_LABEL: ALLOWED, "pod-security.kubernetes.io/enforce": "restricted", **self._labels()}
        head = {"apiVersion": "v1", "kind": "Namespace"}
        try:
            self._client.create({**head, "metadata": {"name": namespace, "labels": labels}}, MANAGER)
        except Conflict:
            return
        except Forbidden:
            if not self._is_there(namespace):  # an account that may create none uses the one made for it
                raise

    def _labels(self) -> dict[str, str]:
        return labels_of(self.run.run_id, self.run.suite_session.id)

    def _head(self, kind: str, namespace: str, name: str) -> Body:
        body = _named(kind, namespace, name)
        body["metadata"]["labels"] = self._labels()
        return body

    def _is_there(self, namespace: str) -> bool:
        try:
            return self._client.get("v1", "Namespace", "", namespace) is not None
        except ApiError:
            return False

    def annotations(self, namespace: str, endpoints: str) -> dict[str, str]:
        """Read the annotations of an Endpoints object, where Patroni keeps its state."""
        body = self._client.call("GET", path_of("v1", "Endpoints", namespace, endpoints))
        return dict(meta.annotations_of(body))

    def pods(self, namespace: str, selector: str) -> Sequence[Body]:
        """List the pods that a label selector selects."""
        return self._client.list_all("v1", "Pod", namespace, selector)

    def volumes(self, namespace: str, selector: str) -> Sequence[Body]:
        """List the volume claims that a label selector selects."""
        return self._client.list_all("v1", "PersistentVolumeClaim", namespace, selector)

    def nodes(self) -> Sequence[Body]:
        """List the nodes of the cluster."""
        return self._client.list_all("v1", "Node")

    def delete_pod(self, namespace: str, name: str, uid: str) -> None:
        """Delete this pod gracefully, but no later one of its name; one that is gone already is no error."""
        self._client.delete("v1", "Pod", namespace, name, uid=uid)

    def execute(self, namespace: str, pod: str, *command: str) -> str:
        """Run a command in a pod. Returns its output. Raises ExecFailed, with its error output, unless it exits 0."""
        return self._client.execute(namespace, pod, command)

    def switch_over(self, namespace: str, pod: str) -> None:
        """Have a primary hand over (images/*/switchover), which has limits of its own. Raises ExecFailed as execute."""
        self._client.limited(read_seconds=_SWITCHOVER_SECONDS).execute(namespace, pod, ("switchover", "now"))

    def fetch(self, vantage: str, path: str) -> bytes:
        """Fetch what the prober of a zone serves at a path; it answers only with the probers' token."""
        pods = self.pods(SYSTEM_NAMESPACE, f"{VANTAGE_LABEL}={vantage}")
        running = [meta.name_of(pod) for pod in pods if pod["status"].get("phase") == "Running"]
        if not running:
            raise LookupError(f"There is no prober in zone {vantage}. Hint: make up.")
        # The token is read each time anew: the probers may have been reinstalled with another one.
        token = {TOKEN_HEADER: read_token(self._client)}
        client = self._client.limited(max_bytes=_MAX_HISTORY_BYTES, whole_seconds=_SECONDS_FOR_A_HISTORY)
        return client.proxy(SYSTEM_NAMESPACE, running[0], PROBER_METRICS, path, token)


def not_removable(run: RunContext, body: Body) -> str:
    """Return why a run may not remove an object; '' if it may."""
    made_by = run_of(body)
    if not made_by:
        return "no run has made it"
    if made_by == run.run_id:
        return ""
    if run.state.lease_problem is None or meta.namespace_of(body) != run.namespace:
        return f"it belongs to the run {made_by}, and this run does not hold its namespace"
    return run.state.lease_problem()


def full_name(body: Body) -> str:
    """Return an object's namespace and name, as NAMESPACE/NAME."""
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"


def _named(kind: str, namespace: str, name: str) -> Body:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"namespace": namespace, "name": name}}
