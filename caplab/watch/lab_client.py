"""The picture's data, read from the API server; every answer is bounded in time and in size."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from kubernetes import client
from urllib3 import exceptions as failures

from caplab.contract.names import APP_LABEL, GROUP, OPERATOR, SYSTEM_NAMESPACE, VANTAGE_LABEL, VERSION
from caplab.contract.ports import OPERATOR_METRICS, PROBER_METRICS
from caplab.contract.probers import TOKEN_HEADER, TOKEN_KEY, TOKEN_SECRET
from caplab.faults.objects import reason_of

from .figures import counts_of, oldest_round_seconds
from .values import Count, Load

_TIMEOUT = (1.0, 2.0)  # seconds: to connect, to answer; a second later it is asked again
_WHOLE_SECONDS = 3.0  # for all of an answer
_MOST_BYTES = 16 << 20
_PIECE_BYTES = 1 << 16
_MOST_OBJECTS = 500  # objects of a kind, in one answer
_MOST_ANSWERS = 4  # for all of a kind: the first ones are not the newest
_OF_OPERATOR = f"{APP_LABEL}={OPERATOR}"
_REFUSED = frozenset({401, 403})

Body = Mapping[str, Any]


class TooMuch(Exception):
    """An answer is longer, or takes longer, than expected."""


class PodNotFound(LookupError):
    """There is no running pod to ask."""


class LabClient:
    """A client of the API server for all threads. Raises ApiException, urllib3's errors, TooMuch, PodNotFound."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api: Any = api  # Any: its results have no types
        self._token = ""

    def objects(self, plural: str) -> Sequence[Body]:
        """Return all objects of one of the lab's kinds; none if it is not served."""
        bodies: list[Body] = []
        more: dict[str, str] = {}
        for _ in range(_MOST_ANSWERS):
            try:
                listed = self._json(f"/apis/{GROUP}/{VERSION}/{plural}", limit=_MOST_OBJECTS, **more)
            except client.ApiException as error:
                if error.status == 404:
                    return []
                raise
            bodies += listed["items"]
            mark = (listed.get("metadata") or {}).get("continue")
            if not mark:
                return bodies
            more = {"continue": str(mark)}
        raise TooMuch(f"it has over {_MOST_ANSWERS * _MOST_OBJECTS:,} {plural}")

    def probers(self) -> Mapping[str, str]:
        """Return the running pod of each vantage, '' if none runs."""
        return {
            vantage: name
            for pod, name in self._pods(VANTAGE_LABEL)
            if (vantage := str((pod["metadata"].get("labels") or {}).get(VANTAGE_LABEL, "")))
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
        except client.ApiException as error:
            if error.status in _REFUSED:  # the lab may have been reinstalled, with another token
                self._token = ""
            raise

    def _read_token(self) -> str:
        secret = self._json(f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/secrets/{TOKEN_SECRET}")
        self._token = base64.b64decode((secret.get("data") or {}).get(TOKEN_KEY, "")).decode()
        return self._token

    def _pods(self, selector: str) -> list[tuple[Body, str]]:
        """Return pods of the lab's own, each with its name if it runs; running ones come last."""
        listed = self._json(f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/pods", labelSelector=selector, limit=_MOST_OBJECTS)
        pods = [(pod, str(pod["metadata"]["name"]) if _runs(pod) else "") for pod in listed["items"]]
        return sorted(pods, key=lambda named_pod: bool(named_pod[1]))

    def _of_pod(self, pod: str, port: int, headers: Mapping[str, str]) -> str:
        where = quote(f"{pod}:{port}", safe=":")
        path = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/pods/{where}/proxy/metrics"
        return self._get(path, headers).decode(errors="replace")

    def _json(self, path: str, **query: str | int) -> Any:
        return json.loads(self._get(f"{path}?{urlencode(query)}" if query else path, {"Accept": "application/json"}))

    def _get(self, path: str, headers: Mapping[str, str]) -> bytes:
        request = self._api.param_serialize("GET", path, header_params=dict(headers), auth_settings=["BearerToken"])
        answer = self._api.call_api(*request, _request_timeout=_TIMEOUT).response
        try:
            body = whole(answer.read1)
            if not 200 <= answer.status < 300:
                error = client.ApiException(status=answer.status, reason=answer.reason)
                error.body = body.decode(errors="replace")
                raise error
        except BaseException:
            answer.close()  # the rest of it must not reach the next request
            raise
        answer.release_conn()
        return body


def why(error: Exception) -> str:
    """Describe an error in a few words, for a terminal's line: urllib3's own message names every object."""
    while isinstance(error, failures.MaxRetryError) and error.reason:
        error = error.reason
    if isinstance(error, failures.NewConnectionError):
        return "no connection to the API server"
    if isinstance(error, failures.TimeoutError):
        return "the API server does not answer in time"
    if isinstance(error, failures.HTTPError):
        return f"the connection to the API server broke ({type(error).__name__})"
    return reason_of(error)


def whole(read: Callable[[int], bytes], monotonic: Callable[[], float] = time.monotonic) -> bytes:
    """Read the whole answer, piece by piece; TooMuch if it is too long, or takes too long."""
    body, end = bytearray(), monotonic() + _WHOLE_SECONDS
    while piece := read(_PIECE_BYTES):
        body += piece
        if len(body) > _MOST_BYTES:
            raise TooMuch(f"it answers with over {_MOST_BYTES >> 20} MiB")
        if monotonic() > end:
            raise TooMuch(f"it takes over {_WHOLE_SECONDS:g} s to answer")
    return bytes(body)


def _runs(pod: Body) -> bool:
    return (pod.get("status") or {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
