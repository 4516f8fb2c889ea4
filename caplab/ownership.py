"""Whose an object is: what a run makes is labelled with the run and the suite session, and only that may it remove."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RUN_LABEL, SESSION_LABEL = "caplab.dev/run", "caplab.dev/session"
MANAGER = "caplab-run"  # of the fields that runs write
NAMESPACE = "caplab-runs"  # where experiments put their clusters, unless they are told otherwise

Body = Mapping[str, Any]


def new_id() -> str:
    """Such as 20261121-052233-1a2b3c: unique, and sorted by time."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"


def labels_of(run: str, session: str) -> dict[str, str]:
    """What an object made by a run says of its maker."""
    return {RUN_LABEL: run, SESSION_LABEL: session}


def run_of(body: Body) -> str:
    """The id of the run that made an object, or used it last; '' where no run did: pure.

    The label alone is no proof, since a copied manifest carries it too: it counts where a run wrote it there.
    """
    return _label(body, RUN_LABEL)


def session_of(body: Body) -> str:
    """The id of the suite session of that run; '' where no run made the object: pure."""
    return _label(body, SESSION_LABEL)


def _label(body: Body, name: str) -> str:
    metadata = body["metadata"]
    written = any(
        entry.get("manager") == MANAGER and f"f:{name}" in _labels_in(entry.get("fieldsV1") or {})
        for entry in metadata.get("managedFields") or ()
    )
    return str((metadata.get("labels") or {}).get(name, "")) if written else ""


def _labels_in(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    labels: Mapping[str, Any] = (fields.get("f:metadata") or {}).get("f:labels") or {}
    return labels


@dataclass(frozen=True, slots=True)
class CreatedCluster:
    """A cluster that a run has made."""

    kind: str
    namespace: str
    name: str
    uid: str


@dataclass
class Session:
    """One `caplab run`, or one experiment of the stock `chaos run`: the clusters it has made, and those it found."""

    id: str = field(default_factory=new_id)
    made: list[CreatedCluster] = field(default_factory=list)
    reused: set[tuple[str, str, str]] = field(default_factory=set)  # kind, namespace, name

    def note_made(self, kind: str, body: Body) -> None:
        """Keep what was made, by its uid: another object may have its name some day."""
        metadata = body["metadata"]
        self.made.append(CreatedCluster(kind, metadata["namespace"], metadata["name"], metadata["uid"]))
        self.reused.discard((kind, metadata["namespace"], metadata["name"]))

    def note_reused(self, kind: str, body: Body) -> None:
        """Keep what was found there and taken over from a run that is over, unless this session made it."""
        metadata = body["metadata"]
        if metadata["uid"] not in {made.uid for made in self.made}:
            self.reused.add((kind, metadata["namespace"], metadata["name"]))


_session = Session()


def session() -> Session:
    """The one under way in this process."""
    return _session


def begin_session() -> Session:
    """A new one; what the one before has made is forgotten."""
    global _session  # noqa: PLW0603  # the one place there is
    _session = Session()
    return _session
