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
class Entry:
    """An object as it was applied."""

    uid: str
    version: str


def version_of(metadata: Metadata) -> str:
    """What changes with an object's content: its generation, where it has one (a status changes none)."""
    generation = metadata.get("generation")
    return f"generation {generation}" if generation else f"version {metadata.get('resourceVersion')}"


@dataclass
class Ledger:
    """By the uid of the cluster; any thread may ask."""

    _entries: dict[str, dict[Name, Entry]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, manifest: Mapping[str, Any], applied: Metadata) -> None:
        """A manifest was applied; the object's metadata since then."""
        owner, name = _owner(manifest), (manifest["kind"], manifest["metadata"]["name"])
        with self._lock:
            self._entries.setdefault(owner, {})[name] = Entry(applied["uid"], version_of(applied))

    def uid(self, manifest: Mapping[str, Any]) -> str | None:
        """The uid of the object as it was last applied; None where it was not, or is to be looked at anew."""
        with self._lock:
            entry = self._entries.get(_owner(manifest), {}).get((manifest["kind"], manifest["metadata"]["name"]))
        return entry.uid if entry else None

    def strike(self, cluster: str, name: Name) -> bool:
        """An object is not as it was applied any more, or may not be; whether it was known."""
        with self._lock:
            return self._entries.get(cluster, {}).pop(name, None) is not None

    def differs(self, cluster: str, name: Name, metadata: Metadata) -> bool:
        """Whether a known object is another by now, or has changed."""
        with self._lock:
            entry = self._entries.get(cluster, {}).get(name)
        return entry is not None and entry != Entry(metadata["uid"], version_of(metadata))

    def missing(self, cluster: str, kind: str, there: Iterable[str]) -> set[Name]:
        """The known objects of a kind that are not among those there are."""
        names = set(there)
        with self._lock:
            known = self._entries.get(cluster, {})
            return {name for name in known if name[0] == kind and name[1] not in names}

    def forget(self, cluster: str) -> None:
        """A cluster is gone."""
        with self._lock:
            self._entries.pop(cluster, None)


def _owner(manifest: Mapping[str, Any]) -> str:
    return str(controller(manifest["metadata"]).get("uid", ""))
