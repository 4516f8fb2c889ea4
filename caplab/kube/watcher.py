"""Objects of the lab's group, listed and watched outside the operator.

A plain watcher, no kopf: two kopf processes on one kind would share its annotations.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from kubernetes import client, watch

from ..contract.names import GROUP, VERSION

_WATCH_SECONDS = 60  # a watch whose connection died silently would freeze: it ends and begins anew
_TIMEOUT = (5, _WATCH_SECONDS + 15)  # connect and read, seconds
_AGAIN_SECONDS = 1.0  # after an error
_NEXT_SECONDS = 0.2  # after a watch that ended, in case every one ends at once

Body: TypeAlias = Mapping[str, Any]
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Watcher:
    """Lists and watches one kind in a thread, and calls changed with all objects after every change.

    plural is the kind's plural name; namespace '': all of them. A new list is made after every error and every
    _WATCH_SECONDS, so that a missed change is not missed for long.
    """

    api: client.ApiClient
    plural: str
    namespace: str
    changed: Callable[[list[Body]], None]
    _stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start, in a daemon thread."""
        threading.Thread(target=self._run, name=self.plural, daemon=True).start()

    def stop(self) -> None:
        """Stop before the next list; a watch under way ends by itself."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._list_and_watch()
                self._stopped.wait(_NEXT_SECONDS)
            except Exception as error:  # after any error, the next list shows the current state
                _log.warning("watching %s: %s", self.plural, error)
                self._stopped.wait(_AGAIN_SECONDS)

    def _list_and_watch(self) -> None:
        custom = client.CustomObjectsApi(self.api)
        where: dict[str, Any] = {
            "group": GROUP,
            "version": VERSION,
            "plural": self.plural,
            "_request_timeout": _TIMEOUT,
        }
        call: Callable[..., Any] = custom.list_cluster_custom_object
        if self.namespace:
            call, where["namespace"] = custom.list_namespaced_custom_object, self.namespace
        listed = call(**where)
        objects: dict[str, Body] = {item["metadata"]["uid"]: item for item in listed["items"]}
        self.changed(list(objects.values()))
        version = listed["metadata"]["resourceVersion"]
        events: Iterable[Any] = watch.Watch().stream(  # type: ignore[no-untyped-call]
            call, **where, resource_version=version, timeout_seconds=_WATCH_SECONDS
        )
        for event in events:
            body = event["object"]
            if event["type"] == "DELETED":
                objects.pop(body["metadata"]["uid"], None)
            else:
                objects[body["metadata"]["uid"]] = body
            self.changed(list(objects.values()))
