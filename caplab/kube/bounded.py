"""A client of the API server that never waits for ever, even where the caller gives no time-out."""

from __future__ import annotations

from typing import Any

from kubernetes import client

CONNECT_SECONDS, READ_SECONDS = 3.0, 10.0
RETRIES = 1  # urllib3 alone would try a read four times


class BoundedClient(client.ApiClient):
    """An ApiClient whose calls without a time-out get the lab's. A watch sets its own."""

    def call_api(
        self,
        method: Any,
        url: Any,
        header_params: Any = None,
        body: Any = None,
        post_params: Any = None,
        _request_timeout: Any = None,
    ) -> Any:
        """Make a request. Raises what the client raises, and urllib3's errors when the time is over."""
        bound = _request_timeout or (CONNECT_SECONDS, READ_SECONDS)
        return super().call_api(method, url, header_params, body, post_params, bound)


def bounded(settings: client.Configuration) -> BoundedClient:
    """Return a client for these settings; a number of retries in the settings is respected."""
    if settings.retries is None:
        settings.retries = RETRIES
    return BoundedClient(settings)
