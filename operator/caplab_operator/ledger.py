"""The objects of clusters as they were last applied: what tells another's change from the operator's own."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .engines.ownership import controller

Metadata = Mapping[str, Any]
Name = tuple[str, str]  # kind and name


@dataclass(frozen=True, slots=True)
class AppliedObject:
    """An object as it was applied."""

    uid: str
    version: str


def version_of(metadata: Metadata) -> str:
    """What changes with an object's content: its generation, where it has one (a status changes none)."""
    generation = metadata.get("generation")
    return f"generation {generation}" if generation else f"version {metadata.get('resourceVersion')}"


def revision_of(metadata: Metadata) -> int:
    """How late an object's version is: the API server counts all changes by one number. 0 where it does not say."""
    version = str(metadata.get("resourceVersion") or "")
    return int(version) if version.isdecimal() else 0


@dataclass
class Ledger:
    """By the uid of the cluster; any thread may ask."""

    _entries: dict[str, dict[Name, AppliedObject]] = field(default_factory=dict)
    # What was heard of an object while none was noted: an event may be here before the answer that the apply got.
    _latest_events: dict[str, dict[Name, tuple[int, AppliedObject | None]]] = field(default_factory=dict)
    _outdated: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, manifest: Mapping[str, Any], applied: Metadata) -> None:
        """A manifest was applied; the object's metadata since then. Who changed it by now is not written over."""
        owner, name = _owner(manifest), (manifest["kind"], manifest["metadata"]["name"])
        entry = AppliedObject(applied["uid"], version_of(applied))
        with self._lock:
            revision, latest = self._latest_events.get(owner, {}).pop(name, (0, entry))
            if latest != entry and revision > revision_of(applied):
                self._outdated.add(owner)
            else:
                self._entries.setdefault(owner, {})[name] = entry

    def take_outdated(self, cluster: str) -> bool:
        """Whether something of a cluster was changed again before it was noted, since this was asked last."""
        with self._lock:
            outdated = cluster in self._outdated
            self._outdated.discard(cluster)
        return outdated

    def uid(self, manifest: Mapping[str, Any]) -> str | None:
        """The uid of the object as it was last applied; None where it was not, or is to be looked at anew."""
        with self._lock:
            entry = self._entries.get(_owner(manifest), {}).get((manifest["kind"], manifest["metadata"]["name"]))
        return entry.uid if entry else None

    def invalidate(self, cluster: str, name: Name) -> bool:
        """An object is not as it was applied any more, or may not be; whether it was known."""
        with self._lock:
            return self._entries.get(cluster, {}).pop(name, None) is not None

    def on_event(self, cluster: str, name: Name, metadata: Metadata, gone: bool = False) -> bool:
        """Take in an event; whether a known object is gone, another or changed. It is no longer known then."""
        current = None if gone else AppliedObject(metadata["uid"], version_of(metadata))
        with self._lock:
            applied = self._entries.get(cluster, {}).get(name)
            if applied is None:
                if controller(metadata).get("uid") == cluster:
                    self._latest_events.setdefault(cluster, {})[name] = (revision_of(metadata), current)
                return False
            if changed := applied != current:
                del self._entries[cluster][name]
        return changed

    def differs(self, cluster: str, name: Name, metadata: Metadata) -> bool:
        """Whether a known object is another by now, or has changed."""
        with self._lock:
            entry = self._entries.get(cluster, {}).get(name)
        return entry is not None and entry != AppliedObject(metadata["uid"], version_of(metadata))

    def missing(self, cluster: str, kind: str, there: Iterable[str]) -> set[Name]:
        """The known objects of a kind that are not among those there are."""
        names = set(there)
        with self._lock:
            entries = self._entries.get(cluster, {})
            return {name for name in entries if name[0] == kind and name[1] not in names}

    def forget(self, cluster: str) -> None:
        """A cluster is gone."""
        with self._lock:
            self._entries.pop(cluster, None)
            self._latest_events.pop(cluster, None)
            self._outdated.discard(cluster)


def _owner(manifest: Mapping[str, Any]) -> str:
    return str(controller(manifest["metadata"]).get("uid", ""))
