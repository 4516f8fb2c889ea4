"""The API server as the agent uses it: two quick reads, and server-side apply of a status."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kubernetes import client

from caplab.watching import GROUP, VERSION

from .faults import Assignment, Body

PLURAL = "faults"
_TIMEOUT_SECONDS = 2
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PendingReads:
    """A namespace and a pod that are being read."""

    namespace: Future[Body | None]
    pod: Future[Body | None]

    def wait(self) -> tuple[Body | None, Body | None]:
        """Both; None is one that there is not. Raises what the client raises when the API server does not answer."""
        return self.namespace.result(), self.pod.result()


class Api:
    """Short time-outs, and no client retries: whoever calls knows when to try again."""

    def __init__(self, api: client.ApiClient, node: str) -> None:
        self._manager = f"caplab-agent-{node}"
        self._core = client.CoreV1Api(api)
        self._custom = client.CustomObjectsApi(api)
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="read")

    def read(self, assignment: Assignment) -> PendingReads:
        """Begin to read an assignment's namespace and pod, both at once."""
        return PendingReads(
            self._threads.submit(_get, self._core.read_namespace, name=assignment.namespace),
            self._threads.submit(
                _get, self._core.read_namespaced_pod, name=assignment.pod, namespace=assignment.namespace
            ),
        )

    def pod(self, assignment: Assignment) -> Body | None:
        """An assignment's pod as it is now; None: it is gone, or the API server does not say."""
        try:
            pod = _get(self._core.read_namespaced_pod, name=assignment.pod, namespace=assignment.namespace)
        except Exception as error:  # whatever it is: who waits for a pod asks again
            _log.debug("pod %s/%s: %s", assignment.namespace, assignment.pod, error)
            return None
        return pod if pod and pod["metadata"].get("uid") == assignment.pod_uid else None

    def warm(self, namespace: str) -> None:
        """Have two connections and their threads ready: a handshake would cost the next read more than itself."""
        for _ in range(2):
            self._threads.submit(_get, self._core.read_namespace, name=namespace)

    def report(self, body: Body) -> None:
        """Apply a report; an object that is gone, or another of its name by now, needs none."""
        try:
            self._custom.patch_namespaced_custom_object_status(
                GROUP,
                VERSION,
                body["metadata"]["namespace"],
                PLURAL,
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
