"""The agent's calls to the API server: two quick reads, and server-side apply of a status."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from caplab.contract.deaths import Death
from caplab.kube.client import Client
from caplab.kube.errors import Conflict, NotFound

from .deaths.members import Member
from .faults import Assignment, Body

_LIMITS = {"connect_seconds": 2.0, "read_seconds": 2.0, "whole_seconds": 2.0, "retries": 0}
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

    def __init__(self, client: Client, node: str) -> None:
        self._manager = f"caplab-agent-{node}"
        self._client = client.limited(**_LIMITS)
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="read")

    def read(self, assignment: Assignment) -> PendingReads:
        """Start reading an assignment's namespace and pod, in parallel."""
        return PendingReads(
            self._threads.submit(self._namespace, assignment.namespace),
            self._threads.submit(self._client.get, "v1", "Pod", assignment.namespace, assignment.pod),
        )

    def pod(self, assignment: Assignment) -> Body | None:
        """Read an assignment's pod as it is now; None: it is gone, or the API server does not answer."""
        try:
            pod = self._client.get("v1", "Pod", assignment.namespace, assignment.pod)
        except Exception as error:  # of any kind: a caller that waits for a pod asks again
            _log.debug("pod %s/%s: %s", assignment.namespace, assignment.pod, error)
            return None
        return pod if pod and pod["metadata"].get("uid") == assignment.pod_uid else None

    def warm(self, namespace: str) -> None:
        """Open two connections and their threads ahead: a handshake takes longer than the read itself."""
        for _ in range(2):
            self._threads.submit(self._namespace, namespace)

    def report(self, body: Body) -> None:
        """Apply a report. If the object is gone or was replaced by another of its name, do nothing."""
        with suppress(NotFound, Conflict):
            self._client.apply_status(body, self._manager)

    def report_death(self, member: Member, death: Death) -> None:
        """Set the condition of a pod that says so. If the pod is gone or was replaced, do nothing."""
        identity = {"name": member.pod, "namespace": member.namespace, "uid": member.pod_uid}
        status = {"conditions": [death.to_condition()]}
        with suppress(NotFound, Conflict):
            self._client.apply_status(
                {"apiVersion": "v1", "kind": "Pod", "metadata": identity, "status": status}, f"{self._manager}-deaths"
            )

    def _namespace(self, name: str) -> Body | None:
        return self._client.get("v1", "Namespace", "", name)
