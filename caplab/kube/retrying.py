"""Which calls of the API server are sent a second time."""

from __future__ import annotations

from urllib3 import BaseHTTPResponse, Retry
from urllib3.exceptions import InvalidHeader

from .limits import CallLimits

_CHANGE_NOTHING = frozenset({"GET", "HEAD"})


class _Retries(Retry):
    """urllib3's rules, except that a Retry-After that cannot be read does not hide the server's reason."""

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        try:
            return super().get_retry_after(response)
        except (InvalidHeader, ValueError, OverflowError):  # the latter: numbers and dates without bounds
            return None


def retries_of(method: str, limits: CallLimits) -> Retry:
    """Return urllib3's rules for a call.

    Only a call that changes nothing is repeated: if its answer is lost, another one may have taken effect, and its
    repetition could hit what has taken the object's place since.
    """
    return _Retries(
        limits.retries if method in _CHANGE_NOTHING else 0,
        allowed_methods=_CHANGE_NOTHING,
        raise_on_status=False,
        retry_after_max=int(limits.read_seconds),
    )
