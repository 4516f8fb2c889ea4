"""No call of an API server waits for ever, whatever the server does; an error names its call, and whether to retry."""

from __future__ import annotations

import base64
import hashlib
import inspect
import io
import json
import re
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3
from support.objects.kube_clients import client_at

from caplab.kube.client import Client
from caplab.kube.errors import (
    ApiError,
    Conflict,
    ExecFailed,
    Forbidden,
    NoAnswer,
    NotFound,
    Refused,
    TooMuch,
    reason_of,
    refusal,
)
from caplab.kube.limits import CallLimits
from caplab.time_limit import TimeLimitExceeded, with_time_limit

REPOSITORY = Path(__file__).resolve().parents[3]
LIMITS = {"connect_seconds": 0.2, "read_seconds": 0.2, "whole_seconds": 0.3}
PATIENT = {**LIMITS, "connect_seconds": 5.0, "read_seconds": 5.0}  # for a server that answers
FOR_EVER_SECONDS = 8.0  # the machine may be busy
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "demo", "name": "pg-0"}}
AT_POD = ("v1", "Pod", "demo", "pg-0")
CALLS: dict[str, Callable[[Client], Any]] = {
    "answer": lambda client: client.answer("GET", "/pg-0"),
    "call": lambda client: client.call("GET", "/pg-0"),
    "get": lambda client: client.get(*AT_POD),
    "list_all": lambda client: client.list_all("v1", "Pod", "pg-0"),
    "create": lambda client: client.create({**POD, "metadata": {"namespace": "pg-0"}}, "m"),
    "replace": lambda client: client.replace(POD, "m"),
    "apply": lambda client: client.apply(POD, "m"),
    "apply_status": lambda client: client.apply_status(POD, "m"),
    "merge": lambda client: client.merge(*AT_POD, {}),
    "patch": lambda client: client.patch(*AT_POD, []),
    "delete": lambda client: client.delete(*AT_POD),
    "proxy": lambda client: client.proxy("demo", "pg-0", 80, "metrics"),
    "events": lambda client: list(client.events("/pg-0", "1", 0.1)),
    "execute": lambda client: client.execute("demo", "pg-0", ["true"]),
}
NOT_CALLS = {"limited", "request", "tls"}  # they ask no server


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that accepts every connection, and is never heard of again."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]


@contextmanager
def serving(write: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[int]:
    """Provide the port of a server that answers every request with this function."""

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            write(self)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815  # as http.server calls them

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server.server_port
        server.shutdown()


def dripping(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"\n")
            time.sleep(0.02)
    except OSError:
        pass


def error_of(client: Client, call: Callable[[Client], Any]) -> Exception:
    """Return the error with which a call ends; TimeLimitExceeded if it does not end."""
    with pytest.raises(Exception, match=r".") as raised:
        with_time_limit(FOR_EVER_SECONDS, lambda: call(client))
    return raised.value


@pytest.mark.parametrize("name", CALLS)
def test_a_silent_server_is_waited_for_no_longer_than_the_time_outs(
    silent: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caplab.kube.client._WATCH_GRACE_SECONDS", 0.3)
    error = error_of(client_at(silent, **LIMITS, retries=1), CALLS[name])
    assert isinstance(error, ApiError)
    assert "pg-0" in str(error), "the error does not name the call"


def test_every_public_call_of_the_client_is_tried() -> None:
    public = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}
    assert public == CALLS.keys() | NOT_CALLS


def test_a_call_without_a_time_out_is_caught(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(self: Client, _method: str, path: str, *_: Any, **__: Any) -> Any:
        return urllib3.PoolManager().request("GET", f"{self.configuration.host}{path}", timeout=None)

    monkeypatch.setattr(Client, "answer", planted)
    monkeypatch.setitem(globals(), "FOR_EVER_SECONDS", 0.5)
    assert isinstance(error_of(client_at(silent, **LIMITS), CALLS["get"]), TimeLimitExceeded)


@pytest.mark.parametrize("name", ["answer", "get", "delete", "proxy"])
def test_an_answer_that_drips_is_not_waited_for(name: str) -> None:
    with serving(dripping) as port:
        error = error_of(client_at(port, **PATIENT), CALLS[name])
    assert isinstance(error, TooMuch)
    assert error.reason == "it takes over 0.3 s to answer"


def test_a_watch_that_drips_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caplab.kube.client._WATCH_GRACE_SECONDS", 0.3)
    with serving(dripping) as port:
        assert with_time_limit(FOR_EVER_SECONDS, lambda: CALLS["events"](client_at(port, **LIMITS))) == []


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["connect_seconds", "read_seconds", "whole_seconds", "max_bytes"])
def test_a_limit_can_be_changed_and_not_dropped(name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} is .*Hint: every call of the API server has a limit"):
        client_at(1).limited(**{name: seconds})
    assert client_at(1).limited(read_seconds=7).limits == CallLimits(read_seconds=7, retries=0)


def answering(status: int, body: bytes, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return write


@pytest.mark.parametrize(
    ("status", "body", "kind", "may_pass", "reason"),
    [
        (404, b'{"message": "no such pod"}', NotFound, False, "no such pod"),
        (403, b"{}", Forbidden, False, "403 Forbidden"),
        (409, b"", Conflict, True, "409 Conflict"),
        (422, b'{"message": "a\\nb"}', Refused, False, "a b"),
        (429, b"", Refused, True, "429 Too Many Requests"),
        (503, b"not now\n", Refused, True, "503 Service Unavailable: not now"),
        (302, b"", Refused, False, "302 Found"),
        (200, b"<html>", NoAnswer, True, "the answer is not JSON"),
        (200, b"[]", NoAnswer, True, "the answer is not a JSON object"),
    ],
)
def test_an_error_names_its_call_gives_the_servers_reason_and_says_whether_to_retry(
    status: int, body: bytes, kind: type[ApiError], may_pass: bool, reason: str
) -> None:
    with serving(answering(status, body, Location="/elsewhere", Retry_After="3600")) as port:
        error = error_of(client_at(port, **PATIENT), CALLS["merge" if status == 404 else "call"])
    assert type(error) is kind
    assert isinstance(error, ApiError)
    assert (error.may_pass, error.reason) == (may_pass, reason)
    assert "pg-0: " in str(error)
    assert reason_of(error) == reason


def test_what_is_gone_or_replaced_is_not_deleted_and_no_error() -> None:
    for status in (404, 409):
        with serving(answering(status, b"{}")) as port:
            assert not client_at(port).delete(*AT_POD, uid="u")
            assert client_at(port).get(*AT_POD) is None if status == 404 else True


def test_a_watch_yields_events_and_ends_with_the_servers_refusal() -> None:
    events = [{"type": "ADDED", "object": {"n": 1}}, {"type": "ERROR", "object": {"code": 410, "message": "too old"}}]
    body = "".join(json.dumps(event) + "\n" for event in events).encode()
    with serving(answering(200, body)) as port:
        watch = client_at(port).events("/pg-0", "1", 5)
        assert next(watch)["object"] == {"n": 1}
        with pytest.raises(Refused, match=r"GET /pg-0 \(watch\): too old"):
            next(watch)


def losing_the_first_answer(asked: list[str]) -> Callable[[BaseHTTPRequestHandler], None]:
    """Take note of each request, and break the connection of the first one instead of an answer."""

    def write(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.command)
        if len(asked) > 1:
            answering(200, b'{"items": []}')(handler)
        handler.close_connection = True

    return write


@pytest.mark.parametrize("name", [name for name in CALLS if name not in {"events", "execute"}])
def test_only_a_call_that_changes_nothing_is_sent_again(name: str) -> None:
    asked: list[str] = []
    with serving(losing_the_first_answer(asked)) as port:
        client = client_at(port, **PATIENT, retries=1)
        if name in {"answer", "call", "get", "list_all", "proxy"}:
            CALLS[name](client)
            assert asked == ["GET", "GET"]
        else:
            assert isinstance(error_of(client, CALLS[name]), NoAnswer)
            assert len(asked) == 1


@pytest.mark.parametrize("after", ["soon", "-5", "9" * 5000, "Fri, 31 Dec 99999 23:59:59 GMT", "\xff"])
def test_a_retry_after_that_cannot_be_read_does_not_hide_the_reason(after: str) -> None:
    with serving(answering(429, b'{"message": "slow down"}', Retry_After=after)) as port:
        error = error_of(client_at(port, **PATIENT, retries=1), CALLS["call"])
    assert isinstance(error, Refused)
    assert error.reason == "slow down"


DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    "line",
    [
        b"garbage", b"\xff", b"[1]", b"5", b"{}", b'{"type": 1, "object": {}}', b'{"type": "ADDED"}', DEEP,
        b'{"type": "ERROR", "object": "x"}',
    ],
)  # fmt: skip
def test_a_line_of_a_watch_that_is_no_event_is_no_answer(line: bytes) -> None:
    with serving(answering(200, line + b"\n")) as port:
        error = error_of(client_at(port), CALLS["events"])
    assert isinstance(error, NoAnswer)
    assert str(error).startswith("GET /pg-0 (watch): a")


@pytest.mark.parametrize("code", ['"zz"', "1e400", "null", "[]", "true"])
def test_an_error_of_a_watch_without_a_status_is_a_refusal_that_may_pass(code: str) -> None:
    line = f'{{"type": "ERROR", "object": {{"code": {code}, "message": "old"}}}}\n'
    with serving(answering(200, line.encode())) as port:
        error = error_of(client_at(port), CALLS["events"])
    assert isinstance(error, Refused)
    assert (error.reason, error.may_pass) == ("old", True)


@pytest.mark.parametrize("items", ['"abc"', "5", '["x"]', "{}", '{"a": 1}'])
def test_a_list_of_something_else_than_objects_is_no_answer(items: str) -> None:
    with serving(answering(200, f'{{"items": {items}}}'.encode())) as port:
        if items == "{}":
            assert CALLS["list_all"](client_at(port)) == []
        else:
            assert isinstance(error_of(client_at(port), CALLS["list_all"]), NoAnswer)


@pytest.mark.parametrize("name", ["events", "proxy", "call"])
def test_a_refusal_in_a_body_of_any_depth_is_a_refusal(name: str) -> None:
    with serving(answering(403, DEEP)) as port:
        error = error_of(client_at(port), CALLS[name])
    assert isinstance(error, Forbidden)
    assert error.reason == "403 Forbidden"


def test_without_a_server_there_is_no_connection() -> None:
    with pytest.raises(NoAnswer, match=r"GET /pg-0: no connection to the API server"):
        client_at(1).call("GET", "/pg-0")


def in_pod(*frames: bytes, closes: bool = True) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer as the API server does for a command in a pod: a web socket, whose frames begin with their channel."""

    def write(handler: BaseHTTPRequestHandler) -> None:
        key = handler.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        handler.send_response(101)
        handler.send_header("Upgrade", "websocket")
        handler.send_header("Connection", "Upgrade")
        handler.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        handler.end_headers()
        for frame in frames:
            handler.wfile.write(bytes([0x82, len(frame)]) + frame)
        if closes:
            handler.wfile.write(b"\x88\x00")
        handler.wfile.flush()
        handler.rfile.read(1 if closes else 1 << 16)

    return write


EXITED_0 = b'\x03{"status": "Success"}'
EXITED_3 = b'\x03{"status": "Failure", "details": {"causes": [{"message": "3"}]}}'


def test_a_commands_output_comes_from_its_own_channel() -> None:
    with serving(in_pod(b"\x01one\n", b"\x02a warning", b"\x01two", EXITED_0)) as port:
        assert CALLS["execute"](client_at(port)) == "one\ntwo"


@pytest.mark.parametrize(
    ("frames", "closes", "says"),
    [
        ((b"\x02no such\ntable", EXITED_3), True, "true in pg-0: no such table"),
        ((EXITED_3,), True, "true in pg-0: exit code 3"),
        ((b'\x03{"status": "Failure", "details": {"causes": [{"message": "no container"}]}}',), True, "no container"),
        ((b"\x01begun",), False, "true in pg-0: it did not end in 0."),
    ],
)
def test_a_command_that_fails_or_does_not_end_says_why(frames: tuple[bytes, ...], closes: bool, says: str) -> None:
    with serving(in_pod(*frames, closes=closes)) as port:
        error = error_of(client_at(port, **LIMITS), CALLS["execute"])
    assert isinstance(error, ExecFailed)
    assert says in str(error)


def in_pod_raw(raw: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """Open a web socket as `in_pod` does, and send these bytes instead of whole frames; then the connection ends."""

    def write(handler: BaseHTTPRequestHandler) -> None:
        opened = in_pod(closes=False)
        handler.rfile = io.BytesIO()
        opened(handler)
        handler.wfile.write(raw)
        handler.close_connection = True

    return write


CLOSED = b"\x88\x00"
NO_CODE = "true in pg-0: the API server gives no exit code"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "true in pg-0: the connection to the API server broke (Connection to remote host was lost.)"),
        (b"\x82\x03\x01hi", "true in pg-0: the connection to the API server broke"),
        (b"\x82\x7e\x10", "true in pg-0: the connection to the API server broke"),
        (b"\xff" * 36, "true in pg-0: the connection to the API server broke"),
        (b"\x82\x03\x01hi" + CLOSED, "true in pg-0: the API server ended the connection without the exit code"),
        *((bytes([0x82, len(status)]) + status + CLOSED, says) for status, says in [
            (b"\x03[1]", f"{NO_CODE} but '[1]'"),
            (b'\x03{"a": [', NO_CODE),
            (b"\x03{}", NO_CODE),
            (b"\x03" + b"[" * 120, NO_CODE),
            (b'\x03{"status": "Failure"}', NO_CODE),
            (b'\x03{"status": "Failure", "message": "no such container"}', "true in pg-0: no such container"),
            (b'\x03{"status": "Failure", "details": []}', NO_CODE),
            (b'\x03{"status": "Failure", "details": {"causes": [1, {}]}}', NO_CODE),
        ]),
    ],
)  # fmt: skip
def test_a_broken_web_socket_is_a_failed_command(raw: bytes, says: str) -> None:
    with serving(in_pod_raw(raw)) as port:
        error = error_of(client_at(port, **{**LIMITS, "read_seconds": 3.0}), CALLS["execute"])
    assert isinstance(error, ExecFailed)
    assert str(error).startswith(says)


def test_a_command_that_ended_counts_even_if_its_connection_breaks_after_it() -> None:
    frame = bytes([0x82, len(EXITED_0)]) + EXITED_0
    with serving(in_pod_raw(b"\x82\x03\x01hi" + frame)) as port:
        assert CALLS["execute"](client_at(port)) == "hi"


def test_a_command_that_may_not_be_run_says_so_in_the_servers_words() -> None:
    with serving(answering(403, b'{"message": "pods \\"pg-0\\" is forbidden"}')) as port:
        error = error_of(client_at(port), CALLS["execute"])
    assert isinstance(error, ExecFailed)
    assert str(error) == 'true in pg-0: pods "pg-0" is forbidden'


def test_any_error_has_a_reason_in_one_line() -> None:
    assert reason_of(ValueError("a\n  b")) == "a b"
    assert reason_of(ValueError()) == "ValueError"
    assert isinstance(refusal(401), Forbidden)


CONTRACT = "One way to the API server: its Python client is imported by caplab.kube alone"


def broken_contracts(folder: Path, *modules: str) -> str:
    """Check the contract on these modules, which import kubernetes; return what is broken."""
    (contract,) = [
        contract
        for contract in tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
        if contract["name"] == CONTRACT
    ]
    roots = contract["source_modules"]
    for root in [*roots, "caplab/kube"]:
        (folder / root).mkdir(parents=True, exist_ok=True)
        (folder / root / "__init__.py").touch()
    for module in modules:
        (folder / f"{module.replace('.', '/')}.py").write_text("from kubernetes import client\n")
    fields = {**contract, "ignore_imports": [f"{module} -> kubernetes" for module in modules if ".kube." in module]}
    lines = ["[tool.importlinter]", f"root_packages = {json.dumps(roots)}", "include_external_packages = true"]
    lines += ["[[tool.importlinter.contracts]]", *(f"{name} = {json.dumps(value)}" for name, value in fields.items())]
    (folder / "pyproject.toml").write_text("\n".join(lines))
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"]
    linted = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert re.search(r"Contracts: .* broken", linted.stdout), linted.stderr + linted.stdout
    return linted.stdout if linted.returncode else ""


def test_an_import_of_the_python_client_elsewhere_is_caught(tmp_path: Path) -> None:
    pytest.importorskip("importlinter", reason="the images do not have it")
    assert broken_contracts(tmp_path / "clean", "caplab.kube.client") == ""
    broken = broken_contracts(tmp_path / "planted", "caplab.kube.client", "caplab_operator.shortcut")
    assert "caplab_operator.shortcut -> kubernetes" in broken
