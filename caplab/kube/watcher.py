"""Objects of one kind, listed and watched outside kopf.

A plain watcher, no kopf: two kopf processes on one kind would share its annotations.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..contract import meta
from ..contract.names import API_VERSION
from .client import Client
from .paths import path_of

_WATCH_SECONDS = 60  # a watch whose connection died silently would freeze: it ends and begins anew
_RETRY_SECONDS = 1.0  # after an error
_NEXT_SECONDS = 0.2  # after a watch that ended, in case every one ends at once

Body: TypeAlias = Mapping[str, Any]
_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Watcher:
    """Lists and watches one kind in a thread, and calls changed with all objects after every change.

    namespace '': all of them; selectors: labelSelector and fieldSelector, as the API server takes them. A new list is
    made after every error and every _WATCH_SECONDS, so that a missed change is not missed for long.
    """

    client: Client
    kind: str
    namespace: str
    changed: Callable[[list[Body]], None]
    api_version: str = API_VERSION
    selectors: Mapping[str, str] = field(default_factory=dict)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start, in a daemon thread."""
        threading.Thread(target=self._run, name=self.kind, daemon=True).start()

    def stop(self) -> None:
        """Stop before the next list; a watch under way ends by itself."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._list_and_watch()
                self._stopped.wait(_NEXT_SECONDS)
            except Exception as error:  # after any error, the next list shows the current state
                _log.warning("watching %s: %s", self.kind, error)
                self._stopped.wait(_RETRY_SECONDS)

    def _list_and_watch(self) -> None:
        path = path_of(self.api_version, self.kind, self.namespace)
        listed = self.client.call("GET", path, self.selectors)
        objects: dict[str, Body] = {meta.uid_of(item): item for item in listed["items"]}
        self.changed(list(objects.values()))
        for event in self.client.events(path, listed["metadata"]["resourceVersion"], _WATCH_SECONDS, self.selectors):
            body = event["object"]
            if event["type"] == "DELETED":
                objects.pop(meta.uid_of(body), None)
            else:
                objects[meta.uid_of(body)] = body
            self.changed(list(objects.values()))
