"""The agent's calls to the API server: two quick reads, and server-side apply of a status."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kubernetes import client

from caplab.contract.names import FAULT, GROUP, PLURALS, VERSION

from .faults import Assignment, Body

_TIMEOUT_SECONDS = 2
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PendingReads:
    """Reads of a namespace and a pod that are under way."""

    namespace: Future[Body | None]
    pod: Future[Body | None]

    def wait(self) -> tuple[Body | None, Body | None]:
        """Return the namespace and the pod, None for one that does not exist.

        Raises what the client raises if the API server does not answer.
        """
        return self.namespace.result(), self.pod.result()


class Api:
    """Calls with short time-outs and no retries: the caller decides when to try again."""

    def __init__(self, api: client.ApiClient, node: str) -> None:
        self._manager = f"caplab-agent-{node}"
        self._core = client.CoreV1Api(api)
        self._custom = client.CustomObjectsApi(api)
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="read")

    def read(self, assignment: Assignment) -> PendingReads:
        """Start reading an assignment's namespace and pod, in parallel."""
        return PendingReads(
            self._threads.submit(_get, self._core.read_namespace, name=assignment.namespace),
            self._threads.submit(
                _get, self._core.read_namespaced_pod, name=assignment.pod, namespace=assignment.namespace
            ),
        )

    def pod(self, assignment: Assignment) -> Body | None:
        """Read an assignment's pod as it is now; None: it is gone, or the API server does not answer."""
        try:
            pod = _get(self._core.read_namespaced_pod, name=assignment.pod, namespace=assignment.namespace)
        except Exception as error:  # of any kind: a caller that waits for a pod asks again
            _log.debug("pod %s/%s: %s", assignment.namespace, assignment.pod, error)
            return None
        return pod if pod and pod["metadata"].get("uid") == assignment.pod_uid else None

    def warm(self, namespace: str) -> None:
        """Open two connections and their threads ahead: a handshake takes longer than the read itself."""
        for _ in range(2):
            self._threads.submit(_get, self._core.read_namespace, name=namespace)

    def report(self, body: Body) -> None:
        """Apply a report. If the object is gone or was replaced by another of its name, do nothing."""
        try:
            self._custom.patch_namespaced_custom_object_status(
                GROUP,
                VERSION,
                body["metadata"]["namespace"],
                PLURALS[FAULT],
                body["metadata"]["name"],
                dict(body),
                field_manager=self._manager,
                force=True,
                _content_type="application/apply-patch+yaml",
                _request_timeout=_TIMEOUT_SECONDS,
            )
        except client.ApiException as error:
            if error.status not in (404, 409):
                raise


def _get(call: Callable[..., Any], **names: str) -> Body | None:
    try:
        # Plain JSON: the client's own models take milliseconds to build.
        answer = call(**names, _preload_content=False, _request_timeout=_TIMEOUT_SECONDS)
    except client.ApiException as error:
        if error.status == 404:
            return None
        raise
    body: Body = json.loads(answer.data)
    return body
