"""Why a call of the API server failed: one tree of errors, which names the call and says whether to retry.

ApiError
NoAnswer      no connection, or no whole answer in time
TooMuch       the answer is longer, or takes longer, than the caller accepts
ExecFailed    a command in a pod failed
Refused       the API server said no, with a status
NotFound, Forbidden, Conflict
"""

from __future__ import annotations

import json

_QUOTED = 300  # characters of an answer that is no JSON
_TOO_MANY, _SERVER_ERRORS = 429, 500
_MAX_REASON_LENGTH = 1000  # characters of a reason


class ApiError(Exception):
    """A call of the API server failed: the call (such as "GET /api/v1/nodes"), and the reason in one line."""

    may_pass = False  # whether the same call may succeed later: retry it, otherwise give up

    def __init__(self, reason: str, call: str = "") -> None:
        self.reason, self.call = one_line(reason), call
        super().__init__(f"{call}: {self.reason}" if call else self.reason)


class NoAnswer(ApiError):
    """There is no connection, or no whole answer in time."""

    may_pass = True


class TooMuch(ApiError):
    """An answer is longer, or takes longer, than the caller accepts."""


class ExecFailed(ApiError):
    """A command in a pod failed; the reason is its own error output."""


class Refused(ApiError):
    """The API server said no. The reason is its own sentence, if it gave one."""

    def __init__(self, status: int, phrase: str = "", body: str = "", call: str = "") -> None:
        super().__init__(_sentence(body) or _status_line(status, phrase, body), call)
        self.status = status
        self.may_pass = status in (Conflict.STATUS, _TOO_MANY) or status >= _SERVER_ERRORS


class NotFound(Refused):
    """There is no such object, or no such kind."""

    STATUS = 404

    def __init__(self, phrase: str = "Not Found", body: str = "", call: str = "") -> None:
        super().__init__(self.STATUS, phrase, body, call)


class Forbidden(Refused):
    """The account lacks the right, or is not known."""

    STATUSES = (401, 403)


class Conflict(Refused):
    """The object exists already, has changed, or was replaced by another of its name."""

    STATUS = 409

    def __init__(self, phrase: str = "Conflict", body: str = "", call: str = "") -> None:
        super().__init__(self.STATUS, phrase, body, call)


def refusal(status: int, phrase: str = "", body: str = "", call: str = "") -> Refused:
    """Return the error for a status that is no success."""
    if status == NotFound.STATUS:
        return NotFound(phrase, body, call)
    if status == Conflict.STATUS:
        return Conflict(phrase, body, call)
    return (Forbidden if status in Forbidden.STATUSES else Refused)(status, phrase, body, call)


def reason_of(error: BaseException) -> str:
    """Return the reason of any error in one line, in the API server's own words if it gave some."""
    return error.reason if isinstance(error, ApiError) else one_line(str(error)) or type(error).__name__


def one_line(text: str) -> str:
    """Return a text in one line of bounded length."""
    return " ".join(text.split())[:_MAX_REASON_LENGTH]


def _sentence(body: str) -> str:
    try:
        status = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    message = status.get("message") if isinstance(status, dict) else None
    return message if isinstance(message, str) else ""


def _status_line(status: int, phrase: str, body: str) -> str:
    text = "" if body.lstrip().startswith(("{", "[")) else one_line(body)[:_QUOTED]
    return f"{status} {phrase}".rstrip() + (f": {text}" if text else "")
