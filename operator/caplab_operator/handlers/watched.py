"""Watched objects, as last seen."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..faults.cuts import TARGET

Key = tuple[str, str, str]  # kind, namespace, name
Body = Mapping[str, Any]


def key_of(body: Body) -> Key:
    """Return an object's key, which is unique among existing objects."""
    return body["kind"], body["metadata"]["namespace"], body["metadata"]["name"]


def is_being_deleted(body: Body) -> bool:
    """Whether an object is being deleted."""
    return "deletionTimestamp" in body["metadata"]


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
        return current is not None and bool(current["metadata"]["uid"] == body["metadata"]["uid"])


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


def active_faults(faults: Iterable[Body], namespace: str) -> dict[str, str]:
    """Return by pod of a namespace the name of the latest fault that it is or was under.

    The far end of a partition does not count, since the fault was not aimed at it.
    """
    own = [fault for fault in faults if fault["metadata"]["namespace"] == namespace]
    own.sort(key=lambda fault: str(fault["metadata"].get("creationTimestamp")))
    return {
        target["pod"]: fault["metadata"]["name"]
        for fault in own
        for target in (fault.get("status") or {}).get("targets") or []
        if target.get("injectedAt") and "pod" in target and target.get("end", TARGET) == TARGET
    }
