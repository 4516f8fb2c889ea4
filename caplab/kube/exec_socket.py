"""A command in a pod, through the API server's web socket.

The Python client's web socket has no time-out for its connection, nor for the middle of a frame: so the whole command
has one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from kubernetes.client import ApiException, Configuration
from kubernetes.stream.ws_client import ERROR_CHANNEL, STDERR_CHANNEL, STDOUT_CHANNEL, websocket_call
from websocket import WebSocketBadStatusException

from ..contract.records import shown
from ..time_limit import TimeLimitExceeded, with_time_limit
from .errors import ExecFailed, reason_of, refusal
from .limits import CallLimits

_CHANNELS = (STDOUT_CHANNEL, STDERR_CHANNEL, ERROR_CHANNEL)


def run(configuration: Configuration, url: str, headers: Mapping[str, str], limits: CallLimits) -> str:
    """Run the command that the URL names, and return its output. ExecFailed unless it exits 0 within read_seconds."""
    seconds = limits.connect_seconds + limits.read_seconds
    try:
        return with_time_limit(seconds, lambda: _run(configuration, url, headers, limits.read_seconds), "exec")
    except TimeLimitExceeded as late:
        raise ExecFailed(str(late)) from late


def _run(configuration: Configuration, url: str, headers: Mapping[str, str], seconds: float) -> str:
    answer = _opened(configuration, url, headers)
    problem = "the API server ended the connection without the exit code"
    try:
        answer.run_forever(timeout=seconds)
        if answer.is_open():
            problem = f"it did not end in {seconds:g} s"
    except Exception as error:  # whatever arrives instead of a frame: the Python client lets any error through
        problem = _broken(error)
    finally:
        answer.close()
    out, errors, status = (str(answer.read_channel(channel) or "") for channel in _CHANNELS)
    if not status:  # it comes last
        raise ExecFailed(problem)
    if problem := _failure(status):
        raise ExecFailed(errors.strip() or problem)
    return out


def _opened(configuration: Configuration, url: str, headers: Mapping[str, str]) -> Any:
    try:
        return websocket_call(  # type: ignore[no-untyped-call]
            configuration, "GET", url, headers=dict(headers), _preload_content=False
        )
    except ApiException as error:
        cause = error.__context__ or error  # the Python client makes one text of it, with all headers
        if isinstance(cause, WebSocketBadStatusException):
            raise ExecFailed(refusal(cause.status_code, body=_text(cause.resp_body)).reason) from error
        raise ExecFailed(_broken(cause)) from error


def _failure(status: str) -> str:
    """Return why a command failed by the Status with which the API server ends its channel; '' if it exited 0: pure."""
    try:
        parsed = json.loads(status)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        return f"the API server gives no exit code but {shown(status)}"
    if parsed.get("status") == "Success":
        return ""
    causes = [str(cause.get("message") or "") for cause in _dicts_in(parsed.get("details"))]
    for cause in causes:
        if re.fullmatch(r"[0-9]{1,10}", cause):
            return f"exit code {cause}"
    message = parsed.get("message")
    reasons = [message] if isinstance(message, str) else causes
    return ", ".join(filter(None, reasons)) or "the API server gives no exit code"


def _dicts_in(details: object) -> list[dict[str, Any]]:
    causes = details.get("causes") if isinstance(details, dict) else None
    return [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []


def _broken(error: BaseException) -> str:
    return f"the connection to the API server broke ({reason_of(error)})"


def _text(body: object) -> str:
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
