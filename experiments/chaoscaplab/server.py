"""The API server as a run uses it from outside the cluster: the lab's objects, pods, and ways into pods."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from kubernetes import client
from kubernetes.stream import stream

from caplab.bounded import BoundedClient
from caplab.kube import pinned
from caplab.model.probers import METRICS_PORT, SYSTEM_NAMESPACE, TOKEN_HEADER, TOKEN_KEY, TOKEN_SECRET
from caplab.ownership import MANAGER, labels_of, run_of, session
from caplab.run_lease import Leases
from caplab.tidy import CLUSTER_PLURALS
from caplab.watching import GROUP, VERSION

from .run_context import current_run

_MOST_ANSWER_BYTES = 1 << 30  # a history of 1,000 operations a second and eight hours, compressed, is a fifth of it
_TIMEOUT = (5, 30)  # seconds: to connect, to answer
_APPLY = "application/apply-patch+yaml"
PLURALS = {
    **CLUSTER_PLURALS,
    "Fault": "faults",
    "Probe": "probes",
    "Run": "runs",
}

Body = dict[str, Any]


class ExecFailed(Exception):
    """A command in a pod did not end well; the message is what it said."""


class NotOurs(Exception):
    """An object that the run under way may not remove or change; the message names it, and the hint."""


class Server(Leases):
    """Calls block; every one has a time-out. Raises kubernetes' ApiException.

    What is made here is labelled with the run under way and its session.
    """

    def __init__(self) -> None:
        self._api = pinned().api
        super().__init__(self._api)
        # Any: the client types free objects as object.
        self._core: Any = client.CoreV1Api(self._api)
        self._custom: Any = client.CustomObjectsApi(self._api)

    def apply(self, kind: str, namespace: str, name: str, spec: Mapping[str, Any]) -> Body:
        """Make one of the lab's objects what spec says; the object."""
        body = {**_head(kind, namespace, name), "spec": dict(spec)}
        applied: Body = self._custom.patch_namespaced_custom_object(
            GROUP, VERSION, namespace, PLURALS[kind], name, body,
            field_manager=MANAGER, force=True, _content_type=_APPLY, _request_timeout=_TIMEOUT,
        )  # fmt: skip
        return applied

    def create(self, kind: str, namespace: str, name: str, spec: Mapping[str, Any]) -> Body:
        """Make a new object; one of that name is an error."""
        body = {**_head(kind, namespace, name), "spec": dict(spec)}
        created: Body = self._custom.create_namespaced_custom_object(
            GROUP, VERSION, namespace, PLURALS[kind], body, field_manager=MANAGER, _request_timeout=_TIMEOUT
        )
        return created

    def replace(self, kind: str, body: Body, spec: Mapping[str, Any]) -> Body:
        """Give an object another spec, and the run's labels; ApiException 409 where it is not as it was read."""
        metadata = body["metadata"]
        labels = {**(metadata.get("labels") or {}), **_labels()}
        replaced: Body = self._custom.replace_namespaced_custom_object(
            GROUP, VERSION, metadata["namespace"], PLURALS[kind], metadata["name"],
            {**body, "metadata": {**metadata, "labels": labels}, "spec": dict(spec)},
            field_manager=MANAGER, _request_timeout=_TIMEOUT,
        )  # fmt: skip
        return replaced

    def apply_status(self, kind: str, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        """Make the status of one of the lab's objects what it is here."""
        self._custom.patch_namespaced_custom_object_status(
            GROUP, VERSION, namespace, PLURALS[kind], name, {**_named(kind, namespace, name), "status": dict(status)},
            field_manager=MANAGER, force=True, _content_type=_APPLY, _request_timeout=_TIMEOUT,
        )  # fmt: skip

    def get(self, kind: str, namespace: str, name: str) -> Body | None:
        """An object, or None where there is none."""
        try:
            body: Body = self._custom.get_namespaced_custom_object(
                GROUP, VERSION, namespace, PLURALS[kind], name, _request_timeout=_TIMEOUT
            )
        except client.ApiException as error:
            if error.status == 404:
                return None
            raise
        return body

    def list(self, kind: str, namespace: str) -> Sequence[Body]:
        """All objects of a kind in a namespace."""
        listed: Body = self._custom.list_namespaced_custom_object(
            GROUP, VERSION, namespace, PLURALS[kind], _request_timeout=_TIMEOUT
        )
        items: Sequence[Body] = listed["items"]
        return items

    def remove(self, kind: str, body: Body) -> None:
        """Delete an object that a run has made, this very one; one that is not there is no error.

        What this run has made it may always remove; what a run that is over has left, only where this one is, and while
        it holds the namespace. Raises NotOurs.
        """
        if problem := not_removable(body):
            raise NotOurs(f"{kind} {full_name(body)} is left as it is: {problem}.")
        metadata = body["metadata"]
        only = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": metadata["uid"]}}
        try:
            self._custom.delete_namespaced_custom_object(
                GROUP, VERSION, metadata["namespace"], PLURALS[kind], metadata["name"],
                body=only, _request_timeout=_TIMEOUT,
            )  # fmt: skip
        except client.ApiException as error:
            if error.status not in (404, 409):  # 409: another one has its name by now
                raise

    def open_namespace(self, namespace: str) -> None:
        """Make a namespace that faults may hit; one that is there keeps its labels as they are."""
        labels = {"caplab.dev/chaos": "allowed", "pod-security.kubernetes.io/enforce": "restricted", **_labels()}
        try:
            self._core.create_namespace({"metadata": {"name": namespace, "labels": labels}}, _request_timeout=_TIMEOUT)
        except client.ApiException as error:
            if error.status == 403 and self._is_there(namespace):
                return  # who may make none uses the one that was made for it
            if error.status != 409:
                raise

    def _is_there(self, namespace: str) -> bool:
        try:
            self._core.read_namespace(namespace, _request_timeout=_TIMEOUT)
        except client.ApiException:
            return False
        return True

    def annotations(self, namespace: str, endpoints: str) -> dict[str, str]:
        """The annotations of an Endpoints object: where Patroni keeps its state."""
        response = self._core.read_namespaced_endpoints(endpoints, namespace, _request_timeout=_TIMEOUT)
        return dict(response.metadata.annotations or {})

    def pods(self, namespace: str, selector: str) -> Sequence[Any]:
        """The pods that a label selector selects."""
        response = self._core.list_namespaced_pod(namespace, label_selector=selector, _request_timeout=_TIMEOUT)
        return list(response.items)

    def volumes(self, namespace: str, selector: str) -> Sequence[Any]:
        """The volume claims that a label selector selects."""
        response = self._core.list_namespaced_persistent_volume_claim(
            namespace, label_selector=selector, _request_timeout=_TIMEOUT
        )
        return list(response.items)

    def nodes(self) -> Sequence[Any]:
        """The nodes of the cluster."""
        return list(self._core.list_node(_request_timeout=_TIMEOUT).items)

    def delete_pod(self, namespace: str, name: str) -> None:
        """Delete a pod, as its owner's orderly end has it."""
        self._core.delete_namespaced_pod(name, namespace, _request_timeout=_TIMEOUT)

    def execute(self, namespace: str, pod: str, *command: str) -> str:
        """What a command in a pod prints; ExecFailed with its words where it does not exit 0."""
        # A client of its own: stream() bends the client it is given, for all threads, until it is done.
        core = client.CoreV1Api(client.ApiClient(self._api.configuration))
        try:
            answer = stream(
                core.connect_get_namespaced_pod_exec, pod, namespace, command=list(command),
                stdout=True, stderr=True, stdin=False, tty=False, _preload_content=False, _request_timeout=_TIMEOUT[1],
            )  # fmt: skip
        except client.ApiException as error:
            raise ExecFailed(f"{command[0]} in {pod}: {error.reason}") from error
        answer.run_forever(timeout=_TIMEOUT[1])
        out, errors = str(answer.read_stdout() or ""), str(answer.read_stderr() or "")
        try:
            code = answer.returncode
        except ValueError as error:  # no exit code but a sentence: there is no container to run it in
            raise ExecFailed(f"{command[0]} in {pod}: {error}") from error
        finally:
            answer.close()
        if code != 0:
            raise ExecFailed(f"{command[0]} in {pod}: {errors.strip() or f'exit code {code}'}")
        return out

    def fetch(self, vantage: str, path: str) -> bytes:
        """What the prober of a zone serves at a path; it answers only who holds the probers' token."""
        pods = self.pods(SYSTEM_NAMESPACE, f"caplab.dev/vantage={vantage}")
        running = [pod.metadata.name for pod in pods if pod.status.phase == "Running"]
        if not running:
            raise LookupError(f"There is no prober in zone {vantage}. Hint: make up.")
        core: Any = client.CoreV1Api(BoundedClient(self._api.configuration, TOKEN_HEADER, self._prober_token()))
        answer: Any = core.connect_get_namespaced_pod_proxy_with_path(
            f"{running[0]}:{METRICS_PORT}", SYSTEM_NAMESPACE, path, _preload_content=False, _request_timeout=_TIMEOUT
        )
        body = bytes(answer.read(_MOST_ANSWER_BYTES + 1))
        answer.release_conn()
        if len(body) > _MOST_ANSWER_BYTES:
            raise LookupError(f"The prober of zone {vantage} answers {path} with over {_MOST_ANSWER_BYTES} bytes.")
        return body

    def _prober_token(self) -> str:
        """Read anew each time: the probers may have been installed with another one meanwhile."""
        try:
            secret = self._core.read_namespaced_secret(TOKEN_SECRET, SYSTEM_NAMESPACE, _request_timeout=_TIMEOUT)
        except client.ApiException as error:
            if error.status != 404:
                raise
            raise LookupError(f"The probers' token, the Secret {TOKEN_SECRET}, is not there. Hint: make up.") from error
        return base64.b64decode((secret.data or {}).get(TOKEN_KEY, "")).decode()


def sentence(error: Exception) -> str:
    """What went wrong, in the API server's own words where it was that which refused."""
    if isinstance(error, client.ApiException) and error.body:
        try:
            return str(json.loads(error.body)["message"])
        except (ValueError, KeyError, TypeError):
            pass
    return str(error)


def not_removable(body: Body) -> str:
    """Why the run under way may not remove an object; '' where it may."""
    run, made_by = current_run(), run_of(body)
    if not made_by:
        return "no run has made it"
    if made_by == run.run_id:
        return ""
    if run.lease_problem is None or body["metadata"]["namespace"] != run.namespace:
        return f"it is of the run {made_by}, and this one does not hold its namespace"
    return run.lease_problem()


def full_name(body: Body) -> str:
    """Namespace and name of an object."""
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"


def _labels() -> dict[str, str]:
    return labels_of(current_run().run_id, session().id)


def _head(kind: str, namespace: str, name: str) -> Body:
    body = _named(kind, namespace, name)
    body["metadata"]["labels"] = _labels()
    return body


def _named(kind: str, namespace: str, name: str) -> Body:
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": {"namespace": namespace, "name": name}}
