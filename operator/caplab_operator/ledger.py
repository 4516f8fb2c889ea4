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
    """An object as it was applied. digest: of the manifest, which no event has. metadata: as the apply returned it."""

    uid: str
    version: str
    digest: str = field(default="", compare=False)
    metadata: Metadata = field(default_factory=dict, compare=False)


def version_of(metadata: Metadata) -> str:
    """Return a version that changes with an object's content, but not with its status.

    A generation, for kinds that have one, counts changes of the spec only: what others may change of the metadata is
    added to it.
    """
    generation = metadata.get("generation")
    if not generation:
        return f"version {metadata.get('resourceVersion')}"
    others = [metadata.get(name) or () for name in ("labels", "annotations", "ownerReferences")]
    return f"generation {generation} {_digest(others)}"


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
        entry = AppliedObject(applied["uid"], version_of(applied), _digest(manifest), applied)
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

    def metadata(self, manifest: Mapping[str, Any]) -> Metadata | None:
        """Return an object's metadata as last applied; None if it was not applied, or must be looked at again."""
        entry = self._entry(manifest)
        return entry.metadata if entry else None

    def is_current(self, manifest: Mapping[str, Any]) -> bool:
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

    def invalidate_all(self, cluster: str) -> None:
        """Have all objects of a cluster looked at and applied again."""
        with self._lock:
            self._entries.pop(cluster, None)

    def on_event(self, cluster: str, name: Name, metadata: Metadata, gone: bool = False) -> bool:
        """Take in an event. Returns whether a recorded object was removed, replaced or changed; then it is forgotten.

        The event is kept for note: an apply of the object may be under way, and its answer may be older.
        """
        current = None if gone else AppliedObject(metadata["uid"], version_of(metadata))
        with self._lock:
            applied = self._entries.get(cluster, {}).get(name)
            changed = applied is not None and applied != current
            if changed or (applied is None and controller(metadata).get("uid") == cluster):
                self._latest_events.setdefault(cluster, {})[name] = (revision_of(metadata), current)
            if changed:
                del self._entries[cluster][name]
        return changed

    def on_list(self, cluster: str, kind: str, there: Iterable[Metadata], revision: int) -> set[Name]:
        """Take in all objects of a kind, as of a revision. Returns the recorded ones that were removed or have changed.

        Each of them is taken in as an event.
        """
        existing = {(kind, str(metadata["name"])): metadata for metadata in there}
        with self._lock:
            recorded = [name for name in self._entries.get(cluster, {}) if name[0] == kind]
        gone = {"resourceVersion": str(revision)}
        return {
            name
            for name in recorded
            if self.on_event(cluster, name, existing.get(name, gone), gone=name not in existing)
        }

    def forget(self, cluster: str) -> None:
        """Forget a cluster that is gone."""
        with self._lock:
            self._entries.pop(cluster, None)
            self._latest_events.pop(cluster, None)
            self._outdated.discard(cluster)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _owner(manifest: Mapping[str, Any]) -> str:
    return str(controller(manifest["metadata"]).get("uid", ""))
