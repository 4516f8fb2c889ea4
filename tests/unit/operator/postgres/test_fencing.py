"""Fencing: what must be seen before a primary is killed, and everything that must not lead to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
from caplab_operator.api import Api
from caplab_operator.engines.postgres import observe
from caplab_operator.engines.postgres.failover import fencing
from caplab_operator.engines.postgres.failover.fencing import Candidates, LockReading, Step, Suspicion
from caplab_operator.engines.postgres.spec import PostgresSpec
from caplab_operator.handlers.postgres import fencing as fence_watch
from caplab_operator.handlers.postgres.fencing import FenceWatch
from support.operator.observed_postgres import SPEC

from caplab.contract.deaths import Fence
from caplab.contract.names import (
    CLUSTER_LABEL,
    ENGINE_LABEL,
    FAST_PATH_LABEL,
    FENCE_ANNOTATION,
    MEMBER,
    PART_LABEL,
    SUSPECT_ANNOTATION,
)
from caplab.kube.errors import ApiError, Refused

FENCED = replace(SPEC, failover=replace(SPEC.failover, loop_wait_seconds=1, fast_path=True, fencing="agent"))
CONTAINER = "c" * 64


def after(reads: Iterable[tuple[float, str]], write_at: float | None = None) -> Suspicion | None:
    """What is suspected after reads of a lock, each its time and the renewal; a write of ours is served at a time."""
    suspicion = None
    for at, renewed in reads:
        suspicion = fencing.observed(suspicion, LockReading(holder="pg-0", renewed=renewed, at=at))
        if suspicion and write_at is not None and at >= write_at:
            suspicion = replace(suspicion, written=suspicion.written or write_at)
    return suspicion


def every_half_second(until: float, renewed: str = "r") -> list[tuple[float, str]]:
    return [(each / 2, renewed) for each in range(int(until * 2) + 1)]


@pytest.mark.parametrize(
    ("suspicion", "step"),
    [
        pytest.param(None, Step.WAIT, id="no lock"),
        pytest.param(after(every_half_second(1.5)), Step.WAIT, id="a renewal may still come"),
        pytest.param(after(every_half_second(2.0)), Step.WRITE, id="two renewals are missing"),
        pytest.param(after(every_half_second(2.5), 2.0), Step.WAIT, id="our write was just served"),
        pytest.param(after(every_half_second(3.0), 2.0), Step.FENCE, id="ours was served, and its did not come"),
    ],
)
def test_what_is_done_as_time_passes(suspicion: Suspicion | None, step: Step) -> None:
    assert fencing.next_step(FENCED, suspicion) is step


@pytest.mark.parametrize(
    "reads",
    [
        pytest.param([*every_half_second(2.5), (3.0, "later")], id="it was renewed at the last moment"),
        pytest.param([(0.0, "r"), (15.0, "r")], id="the API server stalled for 15 s"),
        pytest.param([*every_half_second(2.0), (17.0, "r")], id="it stalled after it had become suspicious"),
        pytest.param([(each * 2.0, "r") for each in range(20)], id="the operator sees too little of it"),
    ],
)
def test_what_must_not_lead_to_a_fence(reads: list[tuple[float, str]]) -> None:
    suspicion = after(reads, 2.0)
    assert fencing.next_step(FENCED, suspicion) is not Step.FENCE


def test_a_lock_that_changes_hands_or_is_free_is_not_suspicious() -> None:
    old = after(every_half_second(3.0), 2.0)
    another = fencing.observed(old, LockReading(holder="pg-1", renewed="r", at=3.5))
    assert fencing.next_step(FENCED, another) is Step.WAIT
    assert fencing.observed(old, None) is None


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (Candidates(reachable=["pg-1"]), ""),
        (Candidates(reachable=[]), "no replica answers that could take over"),
        (Candidates(reachable=["pg-1"], synchronous=["pg-1"]), ""),
        (Candidates(reachable=["pg-2"], synchronous=["pg-1"]), "of pg-1, none could take over, and 1 must"),
        (
            Candidates(reachable=["pg-1"], synchronous=["pg-1", "pg-2"], votes=1),
            "of pg-1, pg-2, pg-1 could take over, and 2 must",
        ),
        (Candidates(reachable=["pg-1", "pg-2"], synchronous=["pg-1", "pg-2"], votes=1), ""),
        (Candidates(reachable=["pg-1"], synchronous=[]), "of no synchronous standby, none could take over, and 1 must"),
    ],
)
def test_nobody_is_fenced_whom_nobody_could_replace(there: Candidates, why: str) -> None:
    assert there.refusal() == why


def replica(received: int = 1000, role: str = "replica", state: str = "streaming") -> dict[str, Any]:
    return {"role": role, "state": state, "xlog": {"received_location": received}}


def test_a_replica_counts_if_it_runs_and_is_near_enough() -> None:
    lock = {"metadata": {"annotations": {"optime": "5000000"}}}
    near = FENCED.failover.maximum_lag_on_failover_bytes
    answers = {
        "pg-1": replica(5_000_000 - near),
        "pg-2": replica(5_000_000 - near - 1),
        "pg-3": replica(5_000_000, state="starting"),
        "pg-4": replica(5_000_000, role="primary"),
        "pg-5": {"role": "replica", "state": "running"},
    }
    spec = replace(FENCED, durability="async")
    assert fencing.candidates(spec, lock, {}, answers) == Candidates(reachable=["pg-1"])
    noted = {"metadata": {"annotations": {"sync_standby": "pg-1,pg-9", "quorum": "1"}}}
    synchronous = fencing.candidates(replace(FENCED, durability="quorum"), lock, noted, answers)
    assert synchronous == Candidates(reachable=["pg-1"], synchronous=["pg-1", "pg-9"], votes=1)


@pytest.mark.parametrize(("seconds", "refused"), [(1, True), (19, True), (21, False), (-1, True)])
def test_a_cluster_is_fenced_once_within_ttl(seconds: int, refused: bool) -> None:
    spec = replace(FENCED, failover=replace(FENCED.failover, ttl_seconds=20))
    now = 10**18
    assert bool(fencing.fenced_since(spec, [now - seconds * 10**9], now)) is refused
    assert fencing.fenced_since(spec, [], now) == ""


# --- the watch ---------------------------------------------------------------------------------------------


def pod(name: str, **annotations: str) -> dict[str, Any]:
    labels = {CLUSTER_LABEL: SPEC.name, ENGINE_LABEL: "postgres", PART_LABEL: MEMBER, FAST_PATH_LABEL: "2"}
    owners = [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": SPEC.name, "uid": "s", "controller": True}]
    head = {"namespace": SPEC.namespace, "name": name, "uid": name, "labels": labels, "ownerReferences": owners}
    statuses = [{"name": "postgres", "containerID": f"containerd://{CONTAINER}"}]
    status = {"containerStatuses": statuses, "podIP": "10.0.0.1"}
    return {"metadata": {**head, "annotations": annotations}, "spec": {}, "status": status}


class FakeApi:
    """An API server with a lock that is not renewed, and three members."""

    def __init__(self) -> None:
        self.pods_of = {name: pod(name) for name in ("pg-0", "pg-1", "pg-2")}
        self.renewed, self.failing = "r", False
        self.noted: list[tuple[str, str]] = []

    def get(self, _version: str, _kind: str, _namespace: str, name: str) -> dict[str, Any]:
        if self.failing:
            raise Refused(500, body="away")
        lock = {"leader": "pg-0", "renewTime": self.renewed, "optime": "1000"}
        synchronous = {"sync_standby": "pg-1,pg-2", "quorum": "1"}
        return {"metadata": {"annotations": synchronous if name.endswith("-sync") else lock}}

    def pods(self, *_: object) -> list[dict[str, Any]]:
        return list(self.pods_of.values())

    def annotate_pod(self, _namespace: str, name: str, _uid: str, annotations: Mapping[str, str]) -> None:
        ((key, value),) = annotations.items()
        self.noted.append((name, key))
        self.pods_of[name]["metadata"]["annotations"][key] = value


class Clock:
    """The time, which a test moves on."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds

    def time_ns(self) -> int:
        return int(self.seconds * 1e9)


class Watched:
    """A watch over a cluster whose primary stopped renewing its lock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, spec: PostgresSpec | None) -> None:
        self.api, self.clock = FakeApi(), Clock()
        self.answers = {"pg-1": replica(), "pg-2": replica()}
        monkeypatch.setattr(fence_watch, "time", self.clock)
        monkeypatch.setattr(observe, "reports", lambda pods: {pod.name: self.answers[pod.name] for pod in pods})
        self.watch = FenceWatch(api=cast(Api, self.api), spec=lambda: spec)

    def look(self, seconds: float) -> list[tuple[str, str]]:
        """Look every half second for so long. Returns what was written to pods since the beginning."""
        for _ in range(int(seconds * 2)):
            self.clock.seconds += 0.5
            try:
                self.watch.look()
            except ApiError:
                continue
        return self.api.noted


QUORUM = replace(FENCED, durability="quorum")


def test_a_primary_that_renews_no_longer_is_fenced_after_a_write_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, QUORUM)
    assert watched.look(2.0) == []
    assert watched.look(1.0) == [("pg-0", SUSPECT_ANNOTATION)]
    assert watched.look(1.0) == [("pg-0", SUSPECT_ANNOTATION), ("pg-0", FENCE_ANNOTATION)]
    fence = Fence.of(watched.api.pods_of["pg-0"])
    assert fence
    assert fence.container_id == CONTAINER
    assert watched.look(15.0).count(("pg-0", FENCE_ANNOTATION)) == 1, "once within ttl"


def test_what_the_watch_does_not_fence_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def fenced(change: Any, spec: PostgresSpec | None = QUORUM) -> bool:
        watched = Watched(monkeypatch, spec)
        change(watched)
        return ("pg-0", FENCE_ANNOTATION) in watched.look(10.0)

    assert fenced(lambda _: None)
    assert not fenced(lambda _: None, None)
    assert not fenced(lambda _: None, replace(QUORUM, failover=replace(QUORUM.failover, fencing="none")))
    assert not fenced(lambda _: None, replace(QUORUM, failover=replace(QUORUM.failover, fast_path=False)))
    assert not fenced(lambda watched: watched.answers["pg-1"].update(state="starting"))
    assert not fenced(lambda watched: watched.api.pods_of.pop("pg-0"))
    assert not fenced(lambda watched: watched.api.pods_of["pg-0"]["metadata"]["labels"].pop(FAST_PATH_LABEL))
    assert not fenced(lambda watched: watched.api.pods_of["pg-0"]["status"].pop("containerStatuses"))
    assert not fenced(lambda watched: watched.api.pods_of["pg-0"]["metadata"].update(deletionTimestamp="now"))
    assert not fenced(lambda watched: setattr(watched.api, "failing", True))


def test_writes_that_are_not_served_are_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, QUORUM)

    def refuse(*_: object) -> None:
        raise Refused(500, body="away")

    monkeypatch.setattr(watched.api, "annotate_pod", refuse)
    assert watched.look(10.0) == []
