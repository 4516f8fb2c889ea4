"""A command in a pod, through the API server's web socket.

The Python client's web socket has no time-out for its connection, nor for the middle of a frame: so the whole command
has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubernetes.client import ApiException, Configuration
from kubernetes.stream.ws_client import websocket_call

from ..within import TooLong, within
from .errors import ExecFailed
from .limits import CallLimits


def run(configuration: Configuration, url: str, headers: Mapping[str, str], limits: CallLimits) -> str:
    """Run the command that the URL names, and return its output. ExecFailed unless it exits 0 within read_seconds."""
    seconds = limits.connect_seconds + limits.read_seconds
    try:
        return within(seconds, lambda: _run(configuration, url, headers, limits.read_seconds), "exec")
    except TooLong as late:
        raise ExecFailed(str(late)) from late
    except ApiException as error:
        raise ExecFailed(str(error.reason)) from error


def _run(configuration: Configuration, url: str, headers: Mapping[str, str], seconds: float) -> str:
    answer: Any = websocket_call(  # type: ignore[no-untyped-call]
        configuration, "GET", url, headers=dict(headers), _preload_content=False
    )
    try:
        answer.run_forever(timeout=seconds)
        if answer.is_open():
            raise TooLong(f"it did not end in {seconds:g} s")
        out, errors = str(answer.read_stdout() or ""), str(answer.read_stderr() or "")
        code = answer.returncode
    except ValueError as error:  # a sentence instead of an exit code: there is no container to run it in
        raise ExecFailed(str(error)) from error
    finally:
        answer.close()
    if code != 0:
        raise ExecFailed(errors.strip() or f"exit code {code}")
    return out
