"""A client of the API server that waits for no answer for ever, whoever forgets to say how long."""

from __future__ import annotations

from typing import Any

from kubernetes import client

CONNECT_SECONDS, READ_SECONDS = 3.0, 10.0
RETRIES = 1  # urllib3 alone would try a read four times


class BoundedClient(client.ApiClient):
    """As ApiClient; a call that names no time-out of its own has the lab's. A watch names its own."""

    def call_api(
        self,
        method: Any,
        url: Any,
        header_params: Any = None,
        body: Any = None,
        post_params: Any = None,
        _request_timeout: Any = None,
    ) -> Any:
        """Make a request; raises what the client raises, and urllib3's errors once the time is over."""
        bound = _request_timeout or (CONNECT_SECONDS, READ_SECONDS)
        return super().call_api(method, url, header_params, body, post_params, bound)


def bounded(settings: client.Configuration) -> BoundedClient:
    """A client for these settings; those that say how often to retry are heeded."""
    if settings.retries is None:
        settings.retries = RETRIES
    return BoundedClient(settings)
