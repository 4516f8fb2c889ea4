"""Faults that an experiment makes by its own means, such as a process: its steps mark them, and the lab checks them.

Only the experiment knows when such a fault began and ended. The lab checks whether anything happened at all: it
compares the cluster's members and its primary before and after.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from caplab.contract import meta
from caplab.model.fields import Fields, Json
from caplab.run_context import Event

from ..clusters.provision import Cluster

_log = logging.getLogger("caplab.run")


@dataclass(frozen=True, slots=True)
class Mark:
    """A span of the method: from right before one step to the end of another, or of the same."""

    begins: str
    ends: str


def marks_in(fields: Fields, experiment: Mapping[str, Any]) -> tuple[Mark, ...]:
    """Read the field mark: names of steps, or objects of begins and ends. Raises FieldError if it is wrong.

    A marked step must be in the method exactly once, otherwise it would not be clear which one is meant.
    """
    if "mark" not in fields.values:
        return ()
    steps = [str(step.get("name")) for step in experiment.get("method") or ()]
    usable = [name for name in steps if steps.count(name) == 1]
    marks = tuple(_mark(fields, value) for value in _listed(fields))
    for mark in marks:
        if mark.begins not in usable or mark.ends not in usable or steps.index(mark.begins) > steps.index(mark.ends):
            raise fields.error("mark", f"made of steps that the method has once, in their order: {', '.join(usable)}")
    return marks


def _listed(fields: Fields) -> Sequence[Json]:
    value = fields.values["mark"]
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise fields.error("mark", "a list of steps")
    return value


def _mark(fields: Fields, value: Json) -> Mark:
    if isinstance(value, str):
        return Mark(value, value)
    pair = Fields.of(f"{fields.where}, field mark", value)
    pair.only("begins", "ends")
    return Mark(pair.text("begins"), pair.text("ends"))


@dataclass(frozen=True, slots=True)
class ClusterObservation:
    """A cluster at one moment: the primary and its epoch ('' if there is none), and each member's pod.

    A pod is described by its uid, its restarts, and whether it is being deleted.
    """

    primary: str
    epoch: str
    pods: Mapping[str, tuple[str, int, bool]]

    @classmethod
    def of(cls, cluster: Cluster) -> ClusterObservation:
        """Observe the cluster. Raises what the API server's client raises, and LookupError if the cluster is gone."""
        status = cluster.body().get("status") or {}
        pods = {
            meta.name_of(pod): (
                meta.uid_of(pod),
                sum(container["restartCount"] for container in pod["status"].get("containerStatuses") or ()),
                meta.is_being_deleted(pod),
            )
            for pod in cluster.members()
        }
        return cls(str(status.get("primary", "")), str(status.get("epoch", "")), pods)


def changes(before: ClusterObservation, after: ClusterObservation) -> list[str]:
    """Return a sentence for each change of a member or the primary; [] if nothing changed: pure."""
    sentences = [_change(name, pod, after.pods.get(name)) for name, pod in sorted(before.pods.items())]
    if (before.primary, before.epoch) != (after.primary, after.epoch) and before.primary:
        sentences.append(f"the primary was {before.primary}, and is now {after.primary or 'none'}, in another epoch")
    return [sentence for sentence in sentences if sentence]


def _change(name: str, before: tuple[str, int, bool], after: tuple[str, int, bool] | None) -> str:
    if after is None:
        return f"the pod {name} is gone"
    if after[0] != before[0]:
        return f"the pod {name} was replaced: its uid was {before[0]}, and is now {after[0]}"
    if after[1] > before[1]:
        return f"the pod {name} has restarted"
    return f"the pod {name} is being deleted" if after[2] and not before[2] else ""


@dataclass(kw_only=True)
class MarkTracker:
    """The marks of one run, as its steps begin and end."""

    marks: Sequence[Mark]
    look: Callable[[], ClusterObservation]
    _before: dict[Mark, ClusterObservation | None] = field(default_factory=dict)
    _after: dict[Mark, ClusterObservation | None] = field(default_factory=dict)
    _began: dict[Mark, int] = field(default_factory=dict)
    _ended: dict[Mark, int] = field(default_factory=dict)

    def step_begins(self, name: str) -> None:
        """Observe the cluster, and then stamp the moment: the observation is not part of the fault."""
        for mark in self.marks:
            if mark.begins == name:
                self._before[mark] = self._observe()
                self._began[mark] = time.time_ns()

    def step_ended(self, name: str) -> None:
        """Stamp the moment, and then observe the cluster."""
        for mark in self.marks:
            if mark.ends == name and mark in self._began:
                self._ended[mark] = time.time_ns()
                self._after[mark] = self._observe()

    def events(self) -> list[Event]:
        """Return an event for each mark that began; if its end showed no change, the cluster is observed once more."""
        return [self._event(mark) for mark in self.marks if mark in self._began]

    def _event(self, mark: Mark) -> Event:
        before, observed = self._before[mark], self._observed_changes(mark)
        spoken = mark.begins if mark.begins == mark.ends else f"{mark.begins} to the end of {mark.ends}"
        target = before.primary if before and before.primary else "the cluster"
        evidence = (f"times as the experiment's steps give them: {spoken}", *(observed or ["no effect was seen"]))
        return Event(
            kind=mark.begins,
            target=target,
            began_unix_ns=self._began[mark],
            ended_unix_ns=self._ended.get(mark),
            evidence=evidence,
            proven=bool(observed),
        )

    def _observed_changes(self, mark: Mark) -> list[str]:
        before = self._before[mark]
        if before is None:
            return []
        at_once = self._after.get(mark)
        at_end = changes(before, at_once) if at_once else []
        later = None if at_end else self._observe()
        return at_end or (changes(before, later) if later else [])

    def _observe(self) -> ClusterObservation | None:
        try:
            return self.look()
        except Exception as error:  # whatever the error: what was not seen is no evidence
            _log.warning("the cluster could not be observed for a mark: %s", error)
            return None
