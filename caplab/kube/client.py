"""The client of the API server, for all parts of the lab: plain JSON, and no call without a time-out.

A body is the parsed JSON of an object: to build the Python client's own model objects takes five times as long, and
faults and schedules wait for it.
"""

from __future__ import annotations

import copy
import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

from kubernetes.client import ApiClient, Configuration
from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3 import exceptions as failures

from .deadlines import bound, read_until
from .errors import Conflict, ExecFailed, NoAnswer, NotFound, TooMuch, reason_of, refusal
from .limits import CallLimits
from .paths import path_of, path_to, proxy_path
from .retrying import retries_of

JSON = "application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
MERGE = "application/merge-patch+json"
_JSON_PATCH = "application/json-patch+json"
_APPLY = "application/apply-patch+yaml"
_PIECE_BYTES = 1 << 16
_NO_STATUS = 500  # of an error without one: the next list shows the current state
_WATCH_GRACE_SECONDS = 15.0  # for the API server to end a watch by itself
_SILENCE_SECONDS = 1.0  # after that: a watch that is silent to its end is broken, one that goes on is only over

Body: TypeAlias = dict[str, Any]
Query: TypeAlias = Mapping[str, str | Sequence[str]]


class Client:
    """A blocking client, for any number of threads. Calls raise ApiError."""

    def __init__(self, configuration: Configuration, limits: CallLimits) -> None:
        self.configuration = configuration
        self.limits = limits
        self._api = ApiClient(configuration)
        self._pool: PoolManager = bound(self._api.rest_client.pool_manager)

    def limited(self, **limits: float) -> Client:
        """Return the same client with other limits, by the names of CallLimits; it shares the connections."""
        other = copy.copy(self)
        other.limits = replace(self.limits, **limits)  # type: ignore[arg-type]  # two of them are whole numbers
        return other

    def answer(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        content: str = JSON,
        accept: str = "*/*",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Make a call and return its whole answer."""
        all_headers = {"Accept": accept, "Content-Type": content, **(headers or {})}
        with self._response(method, path, query, body, all_headers, self.limits.read_seconds) as response:
            return self._whole(response, f"{method} {path}")

    def call(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        content: str = JSON,
        accept: str = JSON,
    ) -> Body:
        """Make a call and return the JSON object of its answer."""
        try:
            parsed = json.loads(self.answer(method, path, query, body, content=content, accept=accept))
        except (ValueError, RecursionError) as error:
            raise NoAnswer("the answer is not JSON", f"{method} {path}") from error
        if not isinstance(parsed, dict):
            raise NoAnswer("the answer is not a JSON object", f"{method} {path}")
        return parsed

    def get(self, api_version: str, kind: str, namespace: str, name: str, accept: str = JSON) -> Body | None:
        """Read an object; None if there is none."""
        try:
            return self.call("GET", path_of(api_version, kind, namespace, name), accept=accept)
        except NotFound:
            return None

    def list_all(
        self, api_version: str, kind: str, namespace: str = "", selector: str = "", accept: str = JSON, **query: str
    ) -> list[Body]:
        """List the objects of a kind that a label selector selects; '' selects all. NotFound if there is no such kind.

        namespace: '' means all.
        """
        selected = {"labelSelector": selector} if selector else {}
        listed = self.call("GET", path_of(api_version, kind, namespace), {**selected, **query}, accept=accept)
        items = listed.get("items") or []  # of metadata alone: null if there is none
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise NoAnswer("the answer is not a list of objects", f"GET {path_of(api_version, kind, namespace)}")
        return items

    def create(self, manifest: Mapping[str, Any], manager: str) -> Body:
        """Create an object; Conflict if one of its name exists."""
        path = path_of(manifest["apiVersion"], manifest["kind"], manifest["metadata"].get("namespace"))
        return self.call("POST", path, {"fieldManager": manager}, manifest)

    def replace(self, manifest: Mapping[str, Any], manager: str) -> Body:
        """Replace an object by a whole new content; Conflict if it has another resourceVersion by now."""
        return self.call("PUT", path_to(manifest), {"fieldManager": manager}, manifest)

    def apply(self, manifest: Mapping[str, Any], manager: str, accept: str = JSON) -> Body:
        """Apply a manifest by force, taking over fields of other managers.

        With a uid in the manifest, it is never created: Conflict.
        """
        query = {"fieldManager": manager, "force": "true"}
        return self.call("PATCH", path_to(manifest), query, manifest, content=_APPLY, accept=accept)

    def apply_status(self, manifest: Mapping[str, Any], manager: str) -> Body:
        """Apply the status of an existing object; fields that the manager no longer names are removed."""
        query = {"fieldManager": manager, "force": "true"}
        path = f"{path_to(manifest)}/status"
        return self.call("PATCH", path, query, manifest, content=_APPLY, accept=METADATA)

    def merge(
        self, api_version: str, kind: str, namespace: str, name: str, patch: Mapping[str, Any], manager: str = ""
    ) -> Body:
        """Merge a patch into an object. Returns its metadata."""
        path, query = path_of(api_version, kind, namespace, name), {"fieldManager": manager} if manager else {}
        return self.call("PATCH", path, query, patch, content=MERGE, accept=METADATA)

    def patch(
        self, api_version: str, kind: str, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]
    ) -> Body:
        """Apply a JSON patch (RFC 6902), whole or not at all: Refused if one of its tests fails."""
        path = path_of(api_version, kind, namespace, name)
        return self.call("PATCH", path, body=list(operations), content=_JSON_PATCH, accept=METADATA)  # type: ignore[arg-type]

    def delete(
        self, api_version: str, kind: str, namespace: str, name: str, *, uid: str = "", version: str = ""
    ) -> bool:
        """Delete an object, only if it has this uid and this resourceVersion, '' for any.

        Returns False, and deletes nothing, if it is gone, or another one by now.
        """
        only = {name: value for name, value in (("uid", uid), ("resourceVersion", version)) if value}
        options = {"apiVersion": "v1", "kind": "DeleteOptions", **({"preconditions": only} if only else {})}
        try:
            self.call("DELETE", path_of(api_version, kind, namespace, name), body=options)
        except (NotFound, Conflict):
            return False
        return True

    def proxy(self, namespace: str, pod: str, port: int, path: str, headers: Mapping[str, str] | None = None) -> bytes:
        """Read what a port of a pod serves at a path, through the API server."""
        return self.answer("GET", proxy_path(namespace, pod, port, path), headers=headers)

    def events(
        self, path: str, version: str, seconds: float, selectors: Mapping[str, str] | None = None
    ) -> Iterator[Body]:
        """Yield the events of a watch since a resourceVersion, until it ends, after `seconds` at the latest.

        Raises Refused if the version is too old.
        """
        call, end = f"GET {path} (watch)", time.monotonic() + seconds + _WATCH_GRACE_SECONDS
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": f"{seconds:.0f}", **(selectors or {})}
        with self._response("GET", path, query, None, {"Accept": JSON}, seconds + _WATCH_GRACE_SECONDS) as response:
            for line in self._lines(response, call, end):
                event = _event(line, call)
                if event["type"] == "ERROR":
                    code = event["object"].get("code")
                    status = code if type(code) is int else _NO_STATUS
                    raise refusal(status, body=json.dumps(event["object"]), call=call)
                yield event

    def execute(self, namespace: str, pod: str, command: Sequence[str]) -> str:
        """Run a command in a pod. Returns its output. Raises ExecFailed, with its error output, unless it exits 0."""
        from . import exec_socket  # noqa: PLC0415  # the websocket is slow to load, and few run commands

        path = f"{path_of('v1', 'Pod', namespace, pod)}/exec"
        url, headers = self.request(path, {"command": list(command), "stdout": "true", "stderr": "true"}, "*/*")
        try:
            return exec_socket.run(self.configuration, url, headers, self.limits)
        except ExecFailed as failed:
            raise ExecFailed(f"{command[0]} in {pod}: {failed.reason}") from failed

    def request(self, path: str, query: Query, accept: str) -> tuple[str, dict[str, str]]:
        """Return URL and headers of a read, for clients of other protocols. An expired token is read again."""
        return self._credentials("GET", path, query, {"Accept": accept})

    def tls(self) -> ssl.SSLContext | None:
        """Return the TLS context for connections to the API server; None if they are not encrypted."""
        settings = self.configuration
        if not settings.host.startswith("https"):
            return None
        context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
        if not settings.verify_ssl:  # as a kubeconfig may ask for
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        return context

    @contextmanager
    def _response(
        self, method: str, path: str, query: Query | None, body: Mapping[str, Any] | None,
        headers: Mapping[str, str], read_seconds: float,
    ) -> Iterator[BaseHTTPResponse]:  # fmt: skip
        """Send a request, and provide its response as long as the context lasts; every error names the call."""
        call, limits = f"{method} {path}", self.limits
        with _named(call):
            url, all_headers = self._credentials(method, path, query or {}, headers)
            response: BaseHTTPResponse = self._pool.request(
                method, url, body=None if body is None else json.dumps(body), headers=all_headers,
                timeout=Timeout(total=read_seconds, connect=limits.connect_seconds, read=read_seconds),
                retries=retries_of(method, limits),
                redirect=False, preload_content=False,
            )  # fmt: skip
        try:
            if not 200 <= response.status < 300:
                text = self._whole(response, call).decode(errors="replace")
                raise refusal(response.status, response.reason or "", text, call)
            yield response
        except BaseException:
            response.close()  # the rest of the answer must not reach the next request
            raise
        response.release_conn()

    def _credentials(
        self, method: str, path: str, query: Query, headers: Mapping[str, str]
    ) -> tuple[str, dict[str, str]]:
        """Return the URL and the headers of a request, with the credentials; NoAnswer if these cannot be read now."""
        pairs = [
            (name, value)
            for name, values in query.items()
            for value in ([values] if isinstance(values, str) else values)
        ]
        try:
            _, url, all_headers, *_ = self._api.param_serialize(
                method, path, query_params=pairs, header_params=dict(headers), auth_settings=["BearerToken"]
            )
        except Exception as error:  # the Python client lets any error of a file or program through
            raise NoAnswer(f"the credentials cannot be read: {reason_of(error)}", f"{method} {path}") from error
        return url, all_headers

    def _whole(self, response: BaseHTTPResponse, call: str) -> bytes:
        """Read an answer piece by piece, so that neither its length nor its duration is without bounds."""
        limits, end, body = self.limits, time.monotonic() + self.limits.whole_seconds, bytearray()
        late = TooMuch(f"it takes over {limits.whole_seconds:g} s to answer", call)
        read_until(response, end, limits.read_seconds)
        with _named(call):
            while piece := _piece(response, end, late):
                body += piece
                if len(body) > limits.max_bytes:
                    raise TooMuch(f"it answers with over {_in_words(limits.max_bytes)}", call)
                if time.monotonic() > end:
                    raise late
        return bytes(body)

    def _lines(self, response: BaseHTTPResponse, call: str, end: float) -> Iterator[bytes]:
        rest = b""
        read_until(response, end + _SILENCE_SECONDS, end + _SILENCE_SECONDS - time.monotonic())
        with _named(call):
            while piece := response.read1(_PIECE_BYTES):
                *lines, rest = (rest + piece).split(b"\n")
                yield from filter(None, lines)
                if len(rest) > self.limits.max_bytes:
                    raise TooMuch(f"an event has over {_in_words(self.limits.max_bytes)}", call)
                if time.monotonic() > end:
                    return


def _piece(response: BaseHTTPResponse, end: float, late: TooMuch) -> bytes:
    """Read what has come of an answer, b'' at its end; raises `late` if its time is over, also within a piece."""
    try:
        return response.read1(_PIECE_BYTES)
    except failures.TimeoutError as error:
        if time.monotonic() >= end:
            raise late from error
        raise


def _event(line: bytes, call: str) -> Body:
    """Parse a line of a watch; NoAnswer if it is not an event."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NoAnswer("a line of the watch is not JSON", call) from error
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise NoAnswer("a line of the watch is not an event", call)
    if not isinstance(event.get("object"), dict):
        raise NoAnswer("an event of the watch has no object", call)
    return event


@contextmanager
def _named(call: str) -> Iterator[None]:
    """Turn the errors of a connection into NoAnswer with the call's name."""
    try:
        yield
    except (failures.HTTPError, OSError) as error:
        raise NoAnswer(_why(error), call) from error


def _why(error: Exception) -> str:
    """Describe an error in a few words: urllib3's own message names every object."""
    while isinstance(error, failures.MaxRetryError) and error.reason:
        error = error.reason
    if isinstance(error, failures.NewConnectionError):
        return "no connection to the API server"
    if isinstance(error, failures.TimeoutError) or isinstance(error.__cause__ or error.__context__, TimeoutError):
        return "the API server does not answer in time"
    if isinstance(error, failures.HTTPError):
        return f"the connection to the API server broke ({type(error).__name__}: {error})"
    return str(error)


def _in_words(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count} bytes"
