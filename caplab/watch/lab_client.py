"""The picture's data, read from the API server; every answer is bounded in time and in size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from caplab.contract import meta
from caplab.contract.names import API_VERSION, APP_LABEL, OPERATOR, SYSTEM_NAMESPACE, VANTAGE_LABEL
from caplab.contract.ports import OPERATOR_METRICS, PROBER_METRICS
from caplab.contract.probers import TOKEN_HEADER
from caplab.kube.client import Client
from caplab.kube.errors import Forbidden, NotFound, TooMuch
from caplab.kube.probers import read_token

from .figures import counts_of, oldest_round_seconds
from .values import Count, Load

# A second later it is asked again.
_LIMITS = {"connect_seconds": 1.0, "read_seconds": 2.0, "whole_seconds": 3.0, "max_bytes": 16 << 20}
_MAX_OBJECTS = 500  # objects of a kind, in one answer
_MAX_ANSWERS = 4  # for all of a kind: the first ones are not the newest
_OF_OPERATOR = f"{APP_LABEL}={OPERATOR}"

Body = Mapping[str, Any]


class PodNotFound(LookupError):
    """There is no running pod to ask."""


class LabClient:
    """A client of the API server for all threads. Raises ApiError and PodNotFound."""

    def __init__(self, client: Client) -> None:
        self._client = client.limited(**_LIMITS)
        self._token = ""

    def objects(self, plural: str) -> Sequence[Body]:
        """Return all objects of one of the lab's kinds; none if it is not served."""
        path, bodies = f"/apis/{API_VERSION}/{plural}", list[Body]()
        more: dict[str, str] = {}
        for _ in range(_MAX_ANSWERS):
            try:
                listed = self._client.call("GET", path, {"limit": str(_MAX_OBJECTS), **more})
            except NotFound:
                return []
            bodies += listed["items"]
            mark = (listed.get("metadata") or {}).get("continue")
            if not mark:
                return bodies
            more = {"continue": str(mark)}
        raise TooMuch(f"it has over {_MAX_ANSWERS * _MAX_OBJECTS:,} {plural}")

    def probers(self) -> Mapping[str, str]:
        """Return the running pod of each vantage, '' if none runs."""
        return {
            vantage: name
            for pod, name in self._pods(VANTAGE_LABEL)
            if (vantage := meta.labels_of(pod).get(VANTAGE_LABEL, ""))
        }

    def operator(self) -> float:
        """Return how long ago the operator's oldest round ended, in seconds."""
        running = [name for _, name in self._pods(_OF_OPERATOR) if name]
        if not running:
            raise PodNotFound("no pod of it runs")
        return oldest_round_seconds(self._of_pod(running[0], OPERATOR_METRICS, {}))

    def counts(self, pod: str) -> Mapping[Load, Count]:
        """Read a prober's count of its operations so far."""
        if not pod:
            raise PodNotFound("no pod of it runs")
        try:
            return counts_of(self._of_pod(pod, PROBER_METRICS, {TOKEN_HEADER: self._token or self._read_token()}))
        except Forbidden:  # the lab may have been reinstalled, with another token
            self._token = ""
            raise

    def _read_token(self) -> str:
        self._token = read_token(self._client)
        return self._token

    def _pods(self, selector: str) -> list[tuple[Body, str]]:
        """Return pods of the lab's own, each with its name if it runs; running ones come last."""
        listed = self._client.list_all("v1", "Pod", SYSTEM_NAMESPACE, selector, limit=str(_MAX_OBJECTS))
        pods = [(pod, meta.name_of(pod) if _runs(pod) else "") for pod in listed]
        return sorted(pods, key=lambda named_pod: bool(named_pod[1]))

    def _of_pod(self, pod: str, port: int, headers: Mapping[str, str]) -> str:
        return self._client.proxy(SYSTEM_NAMESPACE, pod, port, "metrics", headers).decode(errors="replace")


def _runs(pod: Body) -> bool:
    return (pod.get("status") or {}).get("phase") == "Running" and not meta.is_being_deleted(pod)
