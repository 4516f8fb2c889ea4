"""What is done for clusters of every engine around the engine's own handlers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..api import Api, now
from ..engines.common import Common, complete
from .engines import Handlers

Body = Mapping[str, Any]


def look(api: Api, handlers: Handlers, body: Body, before: Body, hit: Mapping[str, str]) -> Body:
    """Look at a cluster, and write its status if it changed; the status. before is the one last written."""
    found = handlers.watch_over(api, body, before, hit)
    status = complete(found, Common(), body["metadata"]["generation"], before, now())
    if status != before:
        api.apply_status(body, status)
    return status
