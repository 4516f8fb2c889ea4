"""Why a cluster's members do not start: a message from what the API server reports of their pods. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caplab.contract import meta

from .common import CAN_START
from .conditions import ConditionState

# Reasons of a waiting container that waiting does not resolve.
_STUCK = {
    "CreateContainerConfigError": "NoConfiguration",
    "CreateContainerError": "NoContainer",
    "ErrImageNeverPull": "NoImage",
    "ErrImagePull": "NoImage",
    "ImageInspectError": "NoImage",
    "ImagePullBackOff": "NoImage",
    "InvalidImageName": "NoImage",
    "RunContainerError": "NoContainer",
}
NO_POD = "NoPod"  # it may just have been deleted: reported if it is missing at two looks
_SLOW_SECONDS = 20.0  # after which a start that reports nothing is reported as slow
_RECENT_SECONDS = 60.0  # for which an exit is reported, if it was not the first one
_LINE_CHARACTERS = 300
_UNPRINTABLE = re.compile(
    r"(?:\x1b\[[0-9;?]*[ -/]*[@-~])|[^\x20-\x7e\u00a1-\uffff]+|[\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+"
)

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a pod that does not start: the end of its log, or the warning events of an object."""

    kind: str  # Pod or StatefulSet
    name: str
    container: str = ""  # whose log: '' asks for events
    previous: bool = False  # the log of the container before the running one


@dataclass(frozen=True, slots=True)
class Trouble:
    """A pod, or a StatefulSet's pods, that do not start. text says why, as far as known without the question."""

    status: str  # of the condition: False, or Unknown where it may just be slow
    reason: str
    text: str
    question: Question | None = None

    def as_state(self, answer: str = "") -> ConditionState:
        """Return it as a condition's state; answer is the answer to the question, as text."""
        return self.status, self.reason, f"{self.text}: {answer}" if answer else self.text


def trouble_of(pods: Sequence[Body], stateful_sets: Iterable[Body], now: datetime.datetime) -> Trouble | None:
    """Return the first thing that keeps a member from starting, certain ones first; None if nothing is known to."""
    troubles = [trouble for pod in sorted(pods, key=meta.name_of) if (trouble := _of_pod(pod, now))]
    there = {meta.name_of(pod) for pod in pods}
    troubles += [trouble for stateful_set in stateful_sets if (trouble := _of_missing(stateful_set, there, now))]
    return min(troubles, key=lambda trouble: trouble.status != "False", default=None)


def conclude(trouble: Trouble | None, answer: str) -> ConditionState:
    """Return the condition's state. A slow start without warnings and without a log is just slow."""
    if trouble is None:
        return CAN_START
    if trouble.reason == NO_POD:
        status, reason, text = trouble.as_state(answer)
        return ("False" if answer else status), reason, text  # a warning: a quota or an admission check is in the way
    return trouble.as_state(answer) if answer or trouble.status == "False" else CAN_START


def last_line(log: bytes) -> str:
    """Return a log's last line that is not blank, printable and not too long."""
    lines = (_UNPRINTABLE.sub(" ", line).strip() for line in reversed(log.decode(errors="replace").splitlines()))
    return next((line[:_LINE_CHARACTERS] for line in lines if line), "")


def latest_warning(events: Iterable[Body]) -> str:
    """Return the text of the newest event; '' if there is none."""
    newest = max(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""), default={})
    return last_line(str(newest.get("message", "")).encode())


def _of_pod(pod: Body, now: datetime.datetime) -> Trouble | None:
    status, name = pod.get("status") or {}, meta.name_of(pod)
    conditions = meta.conditions_of(status)
    if meta.is_being_deleted(pod) or conditions.get("Ready", {}).get("status") == "True":
        return None
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        text = last_line(str(scheduled.get("message", "")).encode())
        return Trouble("False", "Unschedulable", f"no node can run {name}: {text}")
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        if trouble := _of_container(name, container, now):
            return trouble
    if not pod["spec"].get("nodeName") or _age(scheduled.get("lastTransitionTime"), now) < _SLOW_SECONDS:
        return None
    if status.get("phase") == "Pending":
        return Trouble("Unknown", "NotStartedYet", f"{name} is scheduled but does not start", Question("Pod", name))
    return None


def _of_container(pod: str, container: Body, now: datetime.datetime) -> Trouble | None:
    state, name = container.get("state") or {}, container["name"]
    waiting, running, ended = state.get("waiting") or {}, state.get("running"), _last_end(container)
    if reason := _STUCK.get(waiting.get("reason", "")):
        return Trouble(
            "False", reason, f"{pod}: {last_line(str(waiting.get('message') or waiting['reason']).encode())}"
        )
    log = Question("Pod", pod, name, previous=running is not None and bool(ended))
    exited = f"{pod} keeps exiting (the last time with code {ended.get('exitCode')}); the last line of its log"
    if waiting.get("reason") == "CrashLoopBackOff":
        return Trouble("False", "KeepsExiting", exited, log)
    if ended and container.get("restartCount", 0) > 1 and _age(ended.get("finishedAt"), now) < _RECENT_SECONDS:
        return Trouble("False", "KeepsExiting", exited, log)
    if running is not None and not container.get("ready") and _age(running.get("startedAt"), now) >= _SLOW_SECONDS:
        slow = f"{pod} runs and is not ready; the last line of its log"
        return Trouble("Unknown", "NotReadyYet", slow, Question("Pod", pod, name))
    return None


def _of_missing(stateful_set: Body, there: set[str], now: datetime.datetime) -> Trouble | None:
    name, wanted = meta.name_of(stateful_set), stateful_set["spec"].get("replicas", 1)
    missing = [f"{name}-{ordinal}" for ordinal in range(wanted) if f"{name}-{ordinal}" not in there]
    if not missing or _age(stateful_set["metadata"].get("creationTimestamp"), now) < 1:
        return None
    return Trouble("Unknown", NO_POD, f"there is no pod {missing[0]}", Question("StatefulSet", name))


def _last_end(container: Body) -> Body:
    now, before = container.get("state") or {}, container.get("lastState") or {}
    return now.get("terminated") or before.get("terminated") or {}


def _age(at: str | None, now: datetime.datetime) -> float:
    """Return how many seconds ago a time of the API server's was; 0 if there is none."""
    return (now - datetime.datetime.fromisoformat(at)).total_seconds() if at else 0.0
