"""Watched objects, as last seen."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from caplab.contract import meta
from caplab.contract.objects import Fault
from caplab.contract.records import BodyError, Record

Key = tuple[str, str, str]  # kind, namespace, name
Body = Mapping[str, Any]
R = TypeVar("R", bound=Record)
_log = logging.getLogger(__name__)


def key_of(body: Body) -> Key:
    """Return an object's key, which is unique among existing objects."""
    return body["kind"], meta.namespace_of(body), meta.name_of(body)


@dataclass
class WatchedObjects:
    """Objects, each with a lock for the task that acts on it."""

    bodies: dict[Key, Body] = field(default_factory=dict)
    locks: defaultdict[Key, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def on_event(self, event_type: str | None, body: Body) -> Key:
        """Take in an event of an object. Returns its key."""
        key = key_of(body)
        if event_type == "DELETED":
            self.bodies.pop(key, None)
            self.locks.pop(key, None)
        else:
            self.bodies[key] = body
        return key

    def same(self, key: Key, body: Body) -> bool:
        """Whether the object of that key still has the body's uid."""
        current = self.bodies.get(key)
        return current is not None and meta.uid_of(current) == meta.uid_of(body)


@dataclass
class WatchedClusters(WatchedObjects):
    """Clusters, and the status last written for each."""

    written: dict[Key, Body] = field(default_factory=dict)

    def on_event(self, event_type: str | None, body: Body) -> Key:
        """Take in an event as WatchedObjects does; a new object of an old name starts with its own status."""
        key = key_of(body)
        if event_type == "DELETED":
            self.written.pop(key, None)
        elif not self.same(key, body):
            self.written[key] = dict(body.get("status") or {})
        return super().on_event(event_type, body)

    def note_written(self, key: Key, body: Body, status: Body) -> None:
        """Record a status that was written for the body's object, if that still exists."""
        if self.same(key, body):
            self.written[key] = status


@dataclass
class WatchedRecords(WatchedObjects, Generic[R]):
    """Objects, each read when it changes. One that can't be read is left out, and the log says why."""

    record: type[R] = field(kw_only=True)
    readable: dict[Key, R] = field(default_factory=dict)

    def on_event(self, event_type: str | None, body: Body) -> Key:
        """Take in an event as WatchedObjects does, and read the object."""
        key = super().on_event(event_type, body)
        self.readable.pop(key, None)
        if key in self.bodies:
            try:
                self.readable[key] = self.record.from_body(body)
            except BodyError as error:
                _log.warning("%s %s/%s can't be read: %s", *key, error)
        return key


def active_faults(faults: Iterable[Fault], namespace: str) -> dict[str, str]:
    """Return by pod of a namespace the name of the latest fault that it is or was under.

    The far end of a partition does not count, since the fault was not aimed at it.
    """
    own = [fault for fault in faults if fault.metadata.namespace == namespace]
    own.sort(key=lambda fault: str(fault.metadata.creation_timestamp))
    return {
        entry.pod: fault.metadata.name
        for fault in own
        for entry in fault.targets
        if entry.injected_at and entry.pod and entry.is_target
    }
