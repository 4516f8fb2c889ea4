"""The API server as a run uses it from outside the cluster: the lab's objects, pods, and commands in pods."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from kubernetes import client
from kubernetes.stream import stream

from caplab.contract.names import (
    ALLOWED,
    API_VERSION,
    CHAOS_LABEL,
    GROUP,
    PLURALS,
    SYSTEM_NAMESPACE,
    VANTAGE_LABEL,
    VERSION,
)
from caplab.contract.ports import PROBER_METRICS
from caplab.contract.probers import TOKEN_HEADER, TOKEN_KEY, TOKEN_SECRET
from caplab.kube.bounded import BoundedClient
from caplab.kube.context import pinned
from caplab.ownership import MANAGER, labels_of, run_of
from caplab.run_context import RunContext
from caplab.run_lease import Leases

_MOST_ANSWER_BYTES = 1 << 30  # five times the compressed history of eight hours at 1,000 operations a second
_TIMEOUT = (5, 30)  # seconds: to connect, to answer
_APPLY = "application/apply-patch+yaml"

Body = dict[str, Any]


class ExecFailed(Exception):
    """A command in a pod failed; the message is its own."""


class NotOurs(Exception):
    """The current run may not remove or change an object; the message names it, and gives the hint."""


class Server(Leases):
    """A client of the API server. Calls block, each with a time-out, and raise kubernetes' ApiException.

    Objects that it makes are labelled with its run and the run's session.
    """

    def __init__(self, run: RunContext) -> None:
        self.run = run
        self._api = pinned().api
        super().__init__(self._api)
        # Any: the client types free objects as object.
        self._core: Any = client.CoreV1Api(self._api)
        self._custom: Any = client.CustomObjectsApi(self._api)

    def apply(self, kind: str, namespace: str, name: str, spec: Mapping[str, Any]) -> Body:
        """Create one of the lab's objects, or give it this spec. Returns the object."""
        body = {**self._head(kind, namespace, name), "spec": dict(spec)}
        applied: Body = self._custom.patch_namespaced_custom_object(
            GROUP, VERSION, namespace, PLURALS[kind], name, body,
            field_manager=MANAGER, force=True, _content_type=_APPLY, _request_timeout=_TIMEOUT,
        )  # fmt: skip
        return applied

    def create(self, kind: str, namespace: str, name: str, spec: Mapping[str, Any]) -> Body:
        """Create a new object. Returns it. Raises ApiException 409 if one of that name exists."""
        body = {**self._head(kind, namespace, name), "spec": dict(spec)}
        created: Body = self._custom.create_namespaced_custom_object(
            GROUP, VERSION, namespace, PLURALS[kind], body, field_manager=MANAGER, _request_timeout=_TIMEOUT
        )
        return created

    def replace(self, kind: str, body: Body, spec: Mapping[str, Any]) -> Body:
        """Replace an object's spec, and add the run's labels. Raises ApiException 409 if the object has changed."""
        metadata = body["metadata"]
        labels = {**(metadata.get("labels") or {}), **self._labels()}
        replaced: Body = self._custom.replace_namespaced_custom_object(
            GROUP, VERSION, metadata["namespace"], PLURALS[kind], metadata["name"],
            {**body, "metadata": {**metadata, "labels": labels}, "spec": dict(spec)},
            field_manager=MANAGER, _request_timeout=_TIMEOUT,
        )  # fmt: skip
        return replaced

    def apply_status(self, kind: str, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        """Set the status of one of the lab's objects."""
        self._custom.patch_namespaced_custom_object_status(
            GROUP, VERSION, namespace, PLURALS[kind], name, {**_named(kind, namespace, name), "status": dict(status)},
            field_manager=MANAGER, force=True, _content_type=_APPLY, _request_timeout=_TIMEOUT,
        )  # fmt: skip

    def get(self, kind: str, namespace: str, name: str) -> Body | None:
        """Read an object; None if it does not exist."""
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
        """List all objects of a kind in a namespace."""
        listed: Body = self._custom.list_namespaced_custom_object(
            GROUP, VERSION, namespace, PLURALS[kind], _request_timeout=_TIMEOUT
        )
        items: Sequence[Body] = listed["items"]
        return items

    def remove(self, kind: str, body: Body) -> None:
        """Delete exactly this object, which a run has made; it is no error if the object is gone already.

        A run may always remove what it has made itself; what other runs left, only in its own namespace, and while it
        holds that. Raises NotOurs.
        """
        if problem := not_removable(self.run, body):
            raise NotOurs(f"{kind} {full_name(body)} is left as it is: {problem}.")
        metadata = body["metadata"]
        only = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": metadata["uid"]}}
        try:
            self._custom.delete_namespaced_custom_object(
                GROUP, VERSION, metadata["namespace"], PLURALS[kind], metadata["name"],
                body=only, _request_timeout=_TIMEOUT,
            )  # fmt: skip
        except client.ApiException as error:
            if error.status not in (404, 409):  # 409: another object has its name by now
                raise

    def open_namespace(self, namespace: str) -> None:
        """Create a namespace that faults may hit; an existing one keeps its labels."""
        labels = {CHAOS_LABEL: ALLOWED, "pod-security.kubernetes.io/enforce": "restricted", **self._labels()}
        try:
            self._core.create_namespace({"metadata": {"name": namespace, "labels": labels}}, _request_timeout=_TIMEOUT)
        except client.ApiException as error:
            if error.status == 403 and self._is_there(namespace):
                return  # an account that may create none uses the one made for it
            if error.status != 409:
                raise

    def _labels(self) -> dict[str, str]:
        return labels_of(self.run.run_id, self.run.session.id)

    def _head(self, kind: str, namespace: str, name: str) -> Body:
        body = _named(kind, namespace, name)
        body["metadata"]["labels"] = self._labels()
        return body

    def _is_there(self, namespace: str) -> bool:
        try:
            self._core.read_namespace(namespace, _request_timeout=_TIMEOUT)
        except client.ApiException:
            return False
        return True

    def annotations(self, namespace: str, endpoints: str) -> dict[str, str]:
        """Read the annotations of an Endpoints object, where Patroni keeps its state."""
        response = self._core.read_namespaced_endpoints(endpoints, namespace, _request_timeout=_TIMEOUT)
        return dict(response.metadata.annotations or {})

    def pods(self, namespace: str, selector: str) -> Sequence[Any]:
        """List the pods that a label selector selects."""
        response = self._core.list_namespaced_pod(namespace, label_selector=selector, _request_timeout=_TIMEOUT)
        return list(response.items)

    def volumes(self, namespace: str, selector: str) -> Sequence[Any]:
        """List the volume claims that a label selector selects."""
        response = self._core.list_namespaced_persistent_volume_claim(
            namespace, label_selector=selector, _request_timeout=_TIMEOUT
        )
        return list(response.items)

    def nodes(self) -> Sequence[Any]:
        """List the nodes of the cluster."""
        return list(self._core.list_node(_request_timeout=_TIMEOUT).items)

    def delete_pod(self, namespace: str, name: str) -> None:
        """Delete a pod gracefully."""
        self._core.delete_namespaced_pod(name, namespace, _request_timeout=_TIMEOUT)

    def execute(self, namespace: str, pod: str, *command: str) -> str:
        """Run a command in a pod. Returns its output. Raises ExecFailed, with its error output, unless it exits 0."""
        # A client of its own: stream() changes the client that it is given, for all threads, until it is done.
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
        except ValueError as error:  # a sentence instead of an exit code: there is no container to run it in
            raise ExecFailed(f"{command[0]} in {pod}: {error}") from error
        finally:
            answer.close()
        if code != 0:
            raise ExecFailed(f"{command[0]} in {pod}: {errors.strip() or f'exit code {code}'}")
        return out

    def fetch(self, vantage: str, path: str) -> bytes:
        """Fetch what the prober of a zone serves at a path; it answers only with the probers' token."""
        pods = self.pods(SYSTEM_NAMESPACE, f"{VANTAGE_LABEL}={vantage}")
        running = [pod.metadata.name for pod in pods if pod.status.phase == "Running"]
        if not running:
            raise LookupError(f"There is no prober in zone {vantage}. Hint: make up.")
        core: Any = client.CoreV1Api(BoundedClient(self._api.configuration, TOKEN_HEADER, self._prober_token()))
        answer: Any = core.connect_get_namespaced_pod_proxy_with_path(
            f"{running[0]}:{PROBER_METRICS}", SYSTEM_NAMESPACE, path, _preload_content=False, _request_timeout=_TIMEOUT
        )
        body = bytes(answer.read(_MOST_ANSWER_BYTES + 1))
        answer.release_conn()
        if len(body) > _MOST_ANSWER_BYTES:
            raise LookupError(f"The prober of zone {vantage} answers {path} with more than {_MOST_ANSWER_BYTES} bytes.")
        return body

    def _prober_token(self) -> str:
        """Read the token, each time anew: the probers may have been reinstalled with another one."""
        try:
            secret = self._core.read_namespaced_secret(TOKEN_SECRET, SYSTEM_NAMESPACE, _request_timeout=_TIMEOUT)
        except client.ApiException as error:
            if error.status != 404:
                raise
            raise LookupError(f"The probers' token, the Secret {TOKEN_SECRET}, is missing. Hint: make up.") from error
        return base64.b64decode((secret.data or {}).get(TOKEN_KEY, "")).decode()


def sentence(error: Exception) -> str:
    """Return what went wrong, in the API server's own words if it refused."""
    if isinstance(error, client.ApiException) and error.body:
        try:
            return str(json.loads(error.body)["message"])
        except (ValueError, KeyError, TypeError):
            pass
    return str(error)


def not_removable(run: RunContext, body: Body) -> str:
    """Return why a run may not remove an object; '' if it may."""
    made_by = run_of(body)
    if not made_by:
        return "no run has made it"
    if made_by == run.run_id:
        return ""
    if run.state.lease_problem is None or body["metadata"]["namespace"] != run.namespace:
        return f"it belongs to the run {made_by}, and this run does not hold its namespace"
    return run.state.lease_problem()


def full_name(body: Body) -> str:
    """Return an object's namespace and name, as NAMESPACE/NAME."""
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"


def _named(kind: str, namespace: str, name: str) -> Body:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"namespace": namespace, "name": name}}
