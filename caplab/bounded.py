"""A client of the API server that waits for no answer for ever, whoever forgets to say how long."""

from __future__ import annotations

from typing import Any

from kubernetes import client

CONNECT_SECONDS, READ_SECONDS = 3.0, 10.0
RETRIES = 1  # urllib3 alone would try a read four times


class BoundedClient(client.ApiClient):
    """As ApiClient; a call that names no time-out of its own has the lab's. A watch names its own."""

    def call_api(self, *args: Any, _request_timeout: Any = None, **kwargs: Any) -> Any:
        """Make a request; raises what the client raises, and urllib3's errors once the time is over."""
        # The generated methods hand it over by position, behind method, URL, headers, body and form.
        if len(args) == _TIMEOUT_POSITION + 1:
            args, _request_timeout = args[:_TIMEOUT_POSITION], args[_TIMEOUT_POSITION]
        kwargs["_request_timeout"] = _request_timeout or (CONNECT_SECONDS, READ_SECONDS)
        return super().call_api(*args, **kwargs)


_TIMEOUT_POSITION = 5


def bounded(settings: client.Configuration) -> BoundedClient:
    """A client for these settings; those that say how often to retry are heeded."""
    if settings.retries is None:
        settings.retries = RETRIES
    return BoundedClient(settings)
