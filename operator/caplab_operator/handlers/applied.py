"""Objects that are kept as they should be without asking the API server each time."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..api import Api

_AGAIN_SECONDS = 30.0  # somebody else may have changed or removed it


def ensure_secrets(api: Api, build: Callable[[Callable[[], str]], Sequence[Mapping[str, Any]]]) -> None:
    """Make a cluster's secrets where they are not there yet; build is given what makes a password."""
    for secret in build(lambda: secrets.token_urlsafe(24)):
        api.create_if_absent(secret)


class Applied:
    """Objects as they were last applied; one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[tuple[str, str], tuple[Mapping[str, Any], float]] = {}

    def ensure(self, api: Api, manifest: Mapping[str, Any]) -> None:
        """Apply it if it differs from the last time, or if that is a while ago."""
        key, now = (manifest["kind"], manifest["metadata"]["name"]), time.monotonic()
        with self._lock:
            last = self._last.get(key)
            if last is None or last[0] != manifest or now - last[1] > _AGAIN_SECONDS:
                self._last.pop(key, None)  # what fails half-way is done again
                api.apply(manifest)
                self._last[key] = (manifest, now)
