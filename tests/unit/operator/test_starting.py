"""A cluster that can't start says why: a sentence from its pods, what warns of them, and what they logged last."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import pytest
from caplab_operator.engines import starting
from caplab_operator.engines.common import CAN_START
from caplab_operator.engines.starting import Question, conclude, last_line, latest_warning, trouble_of
from caplab_operator.handlers.starting import Starting
from support.objects.fake_server import FakeServer

from caplab.contract.names import CLUSTER_LABEL, ENGINE_LABEL

NOW = datetime.datetime(2026, 1, 1, 0, 1, tzinfo=datetime.UTC)
LONG_AGO, JUST_NOW = "2026-01-01T00:00:00Z", "2026-01-01T00:00:58Z"
KEY = ("PostgresCluster", "demo", "pg")
LABELS = {ENGINE_LABEL: "postgres", CLUSTER_LABEL: "pg"}


def pod(name: str = "pg-0", node: str = "n", phase: str = "Running", **status: Any) -> dict[str, Any]:
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": LONG_AGO}
    conditions = status.pop("conditions", [scheduled])
    return {
        "metadata": {"name": name, "labels": LABELS},
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "conditions": conditions, **status},
    }


def container(restarts: int = 0, ready: bool = False, last: Mapping[str, Any] | None = None, **state: Any) -> Any:
    status = {"name": "postgres", "ready": ready, "restartCount": restarts, "state": state}
    return {"containerStatuses": [status | ({"lastState": {"terminated": last}} if last else {})]}


def stateful_set(replicas: int = 1, name: str = "pg") -> dict[str, Any]:
    metadata = {"name": name, "labels": LABELS, "creationTimestamp": LONG_AGO}
    return {"metadata": metadata, "spec": {"replicas": replicas}}


UNSCHEDULABLE = {
    "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/4 nodes: Insufficient memory.",
}  # fmt: skip
ENDED = {"exitCode": 1, "finishedAt": JUST_NOW}
EXITS = container(3, last=ENDED, waiting={"reason": "CrashLoopBackOff"})
CASES = {
    "no node takes it": (
        pod(node="", phase="Pending", conditions=[UNSCHEDULABLE]),
        ("False", "Unschedulable", "no node can run pg-0: 0/4 nodes: Insufficient memory."),
        None,
    ),
    "no image": (
        pod(phase="Pending", **container(waiting={"reason": "ImagePullBackOff", "message": "no such image: x"})),
        ("False", "NoImage", "pg-0: no such image: x"),
        None,
    ),
    "no secret": (
        pod(
            **container(waiting={"reason": "CreateContainerConfigError", "message": 'secret "pg-passwords" not found'})
        ),
        ("False", "NoConfiguration", 'pg-0: secret "pg-passwords" not found'),
        None,
    ),
    "exits, and waits for its next start": (
        pod(**EXITS),
        ("False", "KeepsExiting", "pg-0 keeps exiting (the last time with code 1); the last line of its log: boom"),
        Question("Pod", "pg-0", "postgres", previous=False),
    ),
    "exits, and runs again just now": (
        pod(**container(2, last=ENDED, running={"startedAt": JUST_NOW})),
        ("False", "KeepsExiting", "pg-0 keeps exiting (the last time with code 1); the last line of its log: boom"),
        Question("Pod", "pg-0", "postgres", previous=True),
    ),
    "is scheduled but does not start": (
        pod(phase="Pending", **container(waiting={"reason": "ContainerCreating"})),
        ("Unknown", "NotStartedYet", "pg-0 is scheduled but does not start: boom"),
        Question("Pod", "pg-0"),
    ),
    "runs and is not ready": (
        pod(**container(running={"startedAt": LONG_AGO})),
        ("Unknown", "NotReadyYet", "pg-0 runs and is not ready; the last line of its log: boom"),
        Question("Pod", "pg-0", "postgres"),
    ),
}


@pytest.mark.parametrize(("body", "state", "question"), CASES.values(), ids=CASES.keys())
def test_what_keeps_a_member_from_starting_is_said(body: Any, state: Any, question: Question | None) -> None:
    trouble = trouble_of([body], [stateful_set()], NOW)
    assert trouble is not None
    assert trouble.question == question
    assert conclude(trouble, "boom" if question else "") == state


@pytest.mark.parametrize(
    "body",
    [
        pod(conditions=[{"type": "Ready", "status": "True"}], **EXITS),
        {**pod(**EXITS), "metadata": {"name": "pg-0", "deletionTimestamp": "now"}},
        pod(**container(running={"startedAt": JUST_NOW})),
        pod(**container(1, last=ENDED, running={"startedAt": JUST_NOW})),  # once: a fault, or a restart
        pod(node="", phase="Pending", conditions=[]),
    ],
)
def test_a_member_that_is_ready_going_or_just_starting_is_no_trouble(body: Any) -> None:
    assert trouble_of([body], [stateful_set()], NOW) is None
    assert conclude(None, "") == CAN_START


def test_a_slow_start_of_which_nothing_is_known_is_just_slow() -> None:
    trouble = trouble_of([pod(phase="Pending")], [stateful_set()], NOW)
    assert trouble is not None
    assert conclude(trouble, "") == CAN_START


def test_pods_that_are_not_made_are_asked_of_their_stateful_set() -> None:
    trouble = trouble_of([], [stateful_set(2)], NOW)
    assert trouble is not None
    assert trouble.question == Question("StatefulSet", "pg")
    state = conclude(trouble, "exceeded quota: pods=0")
    assert state == ("False", "NoPod", "there is no pod pg-0: exceeded quota: pods=0")
    assert conclude(trouble, "") == ("Unknown", "NoPod", "there is no pod pg-0")


def test_a_pod_that_is_missing_at_one_look_may_just_have_been_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caplab_operator.handlers.starting._REREAD_SECONDS", 0.0)
    server = FakeServer()
    server.put("StatefulSet", "pg", api_version="apps/v1", **stateful_set())
    server.put("Event", "e", message="exceeded quota: pods=0", lastTimestamp=LONG_AGO)
    why = Starting(server, KEY)
    assert why.why() == CAN_START
    assert why.why() == ("False", "NoPod", "there is no pod pg-0: exceeded quota: pods=0")
    server.put("Pod", "pg-0", **pod())
    assert why.why() == CAN_START


def test_what_is_certain_goes_before_what_may_just_be_slow() -> None:
    slow, stuck = pod("pg-0", phase="Pending"), pod("pg-1", **EXITS)
    trouble = trouble_of([slow, stuck], [stateful_set(2)], NOW)
    assert trouble is not None
    assert trouble.reason == "KeepsExiting"


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (b"first\nlast\n\n  \n", "last"),
        (b"\x1b[31mred\x1b[0m \x07bell\x00", "red   bell"),
        (b"\xff\xfe broken", "\ufffd\ufffd broken"),
        (b"x" * 5000, "x" * 300),
        ("\u202eevil \u200bnext".encode(), "evil  next"),
        (b"", ""),
    ],
)
def test_the_last_line_of_a_log_is_printable_and_bounded(log: bytes, line: str) -> None:
    assert last_line(log) == line


def test_the_newest_warning_counts() -> None:
    events = [{"message": "old", "lastTimestamp": LONG_AGO}, {"message": "new\n", "eventTime": JUST_NOW}]
    assert latest_warning(events) == "new"
    assert latest_warning([]) == ""


def test_a_clusters_pods_are_read_with_the_log_of_the_one_that_exits(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer()
    server.put("Pod", "pg-0", **pod(**EXITS))
    server.put("StatefulSet", "pg", api_version="apps/v1", **stateful_set())
    server.logs["pg-0"] = b"starting\nFATAL: no space left\n"
    monkeypatch.setattr("caplab_operator.handlers.starting._REREAD_SECONDS", 60.0)
    why = Starting(server, KEY)
    assert why.why()[2].endswith("the last line of its log: FATAL: no space left")
    requests = len(server.requests)
    assert why.why()[1] == "KeepsExiting"
    assert len(server.requests) == requests  # not again within the time


def test_a_log_that_is_not_to_be_had_is_no_error() -> None:
    server = FakeServer()
    server.put("Pod", "pg-0", **pod(**EXITS))
    assert Starting(server, KEY).why()[1] == "KeepsExiting"
    assert starting.trouble_of([], [], NOW) is None
