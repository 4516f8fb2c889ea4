"""The objects of clusters as last applied, to tell others' changes from the operator's own."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from caplab.contract import meta

from .engines.ownership import controller

Metadata = Mapping[str, Any]
Name = tuple[str, str]  # kind and name


@dataclass(frozen=True, slots=True)
class AppliedObject:
    """An object as it was applied. digest: of the manifest, which no event has."""

    uid: str
    version: str
    digest: str = field(default="", compare=False)


def version_of(metadata: Metadata) -> str:
    """Return a version that changes with an object's content: its generation if it has one, which no status changes."""
    generation = metadata.get("generation")
    return f"generation {generation}" if generation else f"version {metadata.get('resourceVersion')}"


def revision_of(metadata: Metadata) -> int:
    """Return an object's resource version as a number, 0 if it has none. The API server counts all changes with it."""
    version = str(metadata.get("resourceVersion") or "")
    return int(version) if version.isdecimal() else 0


@dataclass
class Ledger:
    """Applied objects by the uid of their cluster. Safe between threads."""

    _entries: dict[str, dict[Name, AppliedObject]] = field(default_factory=dict)
    # Events about objects that are not recorded yet: an event may arrive before the answer to the apply.
    _latest_events: dict[str, dict[Name, tuple[int, AppliedObject | None]]] = field(default_factory=dict)
    _outdated: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, manifest: Mapping[str, Any], applied: Metadata) -> None:
        """Record a manifest as applied, with the object's new metadata. A later change by others is not overwritten."""
        owner, name = _owner(manifest), (manifest["kind"], meta.name_of(manifest))
        entry = AppliedObject(applied["uid"], version_of(applied), _digest(manifest))
        with self._lock:
            revision, latest = self._latest_events.get(owner, {}).pop(name, (0, entry))
            if latest != entry and revision > revision_of(applied):
                self._outdated.add(owner)
            else:
                self._entries.setdefault(owner, {})[name] = entry

    def take_outdated(self, cluster: str) -> bool:
        """Whether an object of a cluster was changed before it was recorded, since the last call."""
        with self._lock:
            outdated = cluster in self._outdated
            self._outdated.discard(cluster)
        return outdated

    def uid(self, manifest: Mapping[str, Any]) -> str | None:
        """Return the uid of the object as last applied; None if it was not applied, or must be looked at again."""
        entry = self._entry(manifest)
        return entry.uid if entry else None

    def stands(self, manifest: Mapping[str, Any]) -> bool:
        """Whether this manifest is the one last applied, and its object is not known to have changed since."""
        entry = self._entry(manifest)
        return entry is not None and entry.digest == _digest(manifest)

    def _entry(self, manifest: Mapping[str, Any]) -> AppliedObject | None:
        with self._lock:
            return self._entries.get(_owner(manifest), {}).get((manifest["kind"], meta.name_of(manifest)))

    def invalidate(self, cluster: str, name: Name) -> bool:
        """Forget an object that may have changed since it was applied. Returns whether it was recorded."""
        with self._lock:
            return self._entries.get(cluster, {}).pop(name, None) is not None

    def on_event(self, cluster: str, name: Name, metadata: Metadata, gone: bool = False) -> bool:
        """Take in an event. Returns whether a recorded object was removed, replaced or changed; then it is forgotten.

        An event of an object that is not recorded yet is kept for note.
        """
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
        """Whether a recorded object has been replaced or changed."""
        with self._lock:
            entry = self._entries.get(cluster, {}).get(name)
        return entry is not None and entry != AppliedObject(metadata["uid"], version_of(metadata))

    def missing(self, cluster: str, kind: str, there: Iterable[str]) -> set[Name]:
        """Return the recorded objects of a kind that are not among the existing ones."""
        names = set(there)
        with self._lock:
            entries = self._entries.get(cluster, {})
            return {name for name in entries if name[0] == kind and name[1] not in names}

    def forget(self, cluster: str) -> None:
        """Forget a cluster that is gone."""
        with self._lock:
            self._entries.pop(cluster, None)
            self._latest_events.pop(cluster, None)
            self._outdated.discard(cluster)


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _owner(manifest: Mapping[str, Any]) -> str:
    return str(controller(manifest["metadata"]).get("uid", ""))
