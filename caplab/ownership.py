"""Who owns an object: what a run makes is labelled with the run and its suite session, and only that may remove it."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .contract import meta
from .contract.names import RUN_LABEL, SESSION_LABEL

MANAGER = "caplab-run"  # of the fields that runs write
NAMESPACE = "caplab-runs"  # the default namespace of the experiments' clusters

Body = Mapping[str, Any]


def new_id() -> str:
    """Return an id such as 20261121-052233-1a2b3c: unique, and sorted by time."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"


def labels_of(run: str, session: str) -> dict[str, str]:
    """Return the labels of an object made by a run."""
    return {RUN_LABEL: run, SESSION_LABEL: session}


def run_of(body: Body) -> str:
    """Return the id of the run that made an object, or used it last; '' if no run did. Pure.

    The label alone does not prove it, since a copied manifest carries it too: it counts if a run wrote it there.
    """
    return _label(body, RUN_LABEL)


def suite_session_of(body: Body) -> str:
    """Return the id of the suite session of that run; '' if no run made the object. Pure."""
    return _label(body, SESSION_LABEL)


def _label(body: Body, name: str) -> str:
    written = any(
        entry.get("manager") == MANAGER and f"f:{name}" in _labels_in(entry.get("fieldsV1") or {})
        for entry in body["metadata"].get("managedFields") or ()
    )
    return meta.labels_of(body).get(name, "") if written else ""


def _labels_in(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    labels: Mapping[str, Any] = (fields.get("f:metadata") or {}).get("f:labels") or {}
    return labels


@dataclass(frozen=True, slots=True)
class CreatedCluster:
    """A cluster that a run made."""

    kind: str
    namespace: str
    name: str
    uid: str


@dataclass
class SuiteSession:
    """One `caplab run`, or one experiment of the stock `chaos run`: the clusters that it made or found."""

    id: str = field(default_factory=new_id)
    made: list[CreatedCluster] = field(default_factory=list)
    reused: set[tuple[str, str, str]] = field(default_factory=set)  # kind, namespace, name

    def note_made(self, kind: str, body: Body) -> None:
        """Record a cluster that was made, by its uid: another object may have its name later."""
        self.made.append(CreatedCluster(kind, meta.namespace_of(body), meta.name_of(body), meta.uid_of(body)))
        self.reused.discard((kind, meta.namespace_of(body), meta.name_of(body)))

    def note_reused(self, kind: str, body: Body) -> None:
        """Record a cluster taken over from a finished run, unless this session made it."""
        if meta.uid_of(body) not in {made.uid for made in self.made}:
            self.reused.add((kind, meta.namespace_of(body), meta.name_of(body)))
