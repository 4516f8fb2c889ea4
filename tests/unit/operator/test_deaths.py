"""A proven death: when the leader lock is released for it, and when it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from caplab_operator.api import Api
from caplab_operator.engines.postgres.failover import release
from caplab_operator.handlers.deaths import Deaths
from caplab_operator.handlers.pods import members_beside
from caplab_operator.handlers.postgres import deaths as postgres_deaths

from caplab.contract.deaths import Death
from caplab.contract.names import CLUSTER_LABEL, DECIDED_ANNOTATION, ENGINE_LABEL, HOLD_ANNOTATION, MEMBER, PART_LABEL
from caplab.kube.errors import Refused

CONTAINER, OTHER = "c" * 64, "d" * 64
DIED_NS = 1_795_977_733_000_000_000  # 2026-11-29T18:42:13Z
DEATH = Death(container_id=CONTAINER, unix_ns=DIED_NS, held=True)


def lock(leader: str | None = "pg-0", renewed: str = "2026-11-29T18:42:12.500000+00:00") -> dict[str, Any]:
    annotations = {"renewTime": renewed, **({"leader": leader} if leader else {})}
    return {"metadata": {"name": "pg-primary", "annotations": annotations}}


def pod(container: str = CONTAINER, **annotations: str) -> dict[str, Any]:
    labels = {CLUSTER_LABEL: "pg", ENGINE_LABEL: "postgres"}
    return {
        "metadata": {"namespace": "ns", "name": "pg-0", "uid": "u", "labels": labels, "annotations": annotations},
        "status": {
            "containerStatuses": [{"name": "postgres", "containerID": f"containerd://{container}"}],
            "conditions": [DEATH.to_condition()],
        },
    }


class FakeApi:
    """An API server with one lock; changes: what happens to the lock before each patch; leader: who takes it then."""

    notes_timeline = True

    def __init__(self, state: dict[str, Any], changes: Sequence[dict[str, Any]] = (), leader: str = "pg-1") -> None:
        self.lock, self.changes, self.leader = state, list(changes), leader
        self.noted: dict[str, str] = {}
        self.beside: dict[str, dict[str, Any]] = {}  # the other objects of Patroni's, by name

    def get(self, _version: str, _kind: str, _namespace: str, name: str) -> dict[str, Any] | None:
        return self.lock if name == "pg-primary" else self.beside.get(name)

    def patch(self, *identity: Any) -> None:
        if self.changes:
            self.lock = self.changes.pop(0)
        annotations = self.lock["metadata"]["annotations"]
        for operation in identity[-1]:
            name = operation["path"].rpartition("/")[2]
            if operation["op"] == "test" and annotations.get(name) != operation["value"]:
                raise Refused(422, body="the test failed")
        self.lock = lock(self.leader)

    def annotate_pod(self, _namespace: str, _name: str, uid: str, annotations: Mapping[str, str]) -> None:
        self.noted |= {uid: annotations.get(DECIDED_ANNOTATION) or f"hold {annotations[HOLD_ANNOTATION]}"}
        if HOLD_ANNOTATION in annotations and self.notes_timeline:
            self.beside["pg-primary-config"] = {"metadata": {"annotations": {"history": "[[1,2]]"}}}


@pytest.fixture(autouse=True)
def others(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The other members that run."""
    names = ["pg-1", "pg-2"]
    monkeypatch.setattr(postgres_deaths, "_living_others", lambda *_: names)
    return names


def decide(api: FakeApi, body: dict[str, Any] | None = None) -> str:
    return postgres_deaths.decide(cast(Api, api), body or pod(), DEATH, [])


def test_the_lock_of_a_dead_primary_is_released_and_another_member_takes_it() -> None:
    api = FakeApi(lock())
    assert decide(api).startswith("its lock was released; pg-1 took it ")
    assert api.lock == lock("pg-1")


def test_a_former_primary_of_a_synchronous_cluster_waits_until_the_new_one_has_noted_its_timeline() -> None:
    api = FakeApi(lock())
    api.beside["pg-primary-sync"] = lock()
    assert "pg-1 took it 0.000 s later, and noted its timeline " in decide(api)
    assert api.noted == {"u": f"hold {CONTAINER}"}


def test_it_waits_no_longer_than_its_gate_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_deaths, "_NOTED_SECONDS", 0.2)
    monkeypatch.setattr(FakeApi, "notes_timeline", False)
    api = FakeApi(lock())
    api.beside["pg-primary-sync"] = lock()
    assert decide(api).endswith("and has not noted its timeline for 0.2 s")


@pytest.mark.parametrize(
    ("state", "body", "why"),
    [
        (lock("pg-1"), pod(), "the lock is held by pg-1"),
        (lock(None), pod(), "the lock is held by nobody"),
        (lock(), pod(OTHER), "the proof is of container cccccccccccc, and the pod has dddddddddddd"),
        (lock(), {**pod(), "status": {}}, "and the pod has none"),
        (lock(renewed="2026-11-29T18:42:13.001+00:00"), pod(), "the lock was renewed 0.001 s after the death"),
        (lock(renewed="soon"), pod(), "it is not known when the lock was renewed"),
        ({"metadata": {"annotations": {"leader": "pg-0"}}}, pod(), "it is not known when the lock was renewed"),
    ],
)
def test_a_release_is_refused(state: dict[str, Any], body: dict[str, Any], why: str) -> None:
    api = FakeApi(state)
    assert decide(api, body).startswith("its lock is not released: ")
    assert why in decide(api, body)
    assert api.lock == state


def test_a_lock_that_nobody_could_take_stays_with_the_one_that_has_all_the_writes(others: list[str]) -> None:
    others.clear()
    api = FakeApi(lock())
    assert decide(api) == "its lock is not released: no other member runs that could take it"
    assert api.lock == lock()


def test_a_lock_that_was_renewed_between_reading_and_releasing_stays() -> None:
    api = FakeApi(lock(), changes=[lock(renewed="2026-11-29T18:42:14+00:00")])
    assert "the lock was renewed 1.000 s after the death" in decide(api)
    assert api.lock["metadata"]["annotations"]["leader"] == "pg-0"


def test_another_change_in_between_costs_a_second_try_only() -> None:
    api = FakeApi(lock(), changes=[lock(renewed="2026-11-29T18:42:12.900000+00:00")])
    assert decide(api).startswith("its lock was released; ")


def test_a_lock_that_changes_all_the_time_is_given_up() -> None:
    moments = [lock(renewed=f"2026-11-29T18:42:12.{number}00000+00:00") for number in range(6, 10)]
    api = FakeApi(lock(), changes=moments)
    assert decide(api).startswith("its lock could not be released: ")
    assert len(api.changes) == 1


def test_each_death_is_decided_once_and_noted_on_its_pod() -> None:
    api = FakeApi(lock())
    seen: list[Death] = []

    def note(_api: Api, _pod: object, death: Death, _pods: object) -> str:
        seen.append(death)
        return "noted"

    deaths = Deaths(api=cast(Api, api), deciders={"postgres": note})
    for _ in range(3):
        deaths.on_pods([pod()])
    deaths.on_pods([pod(**{DECIDED_ANNOTATION: CONTAINER})])
    deaths.threads.shutdown()
    assert seen == [DEATH]
    assert api.noted == {"u": CONTAINER}


def test_a_member_whose_pod_is_being_deleted_is_left_to_its_own_switchover() -> None:
    deaths = Deaths(api=cast(Api, FakeApi(lock())), deciders={"postgres": lambda *_: pytest.fail("it was decided")})
    going = pod()
    going["metadata"]["deletionTimestamp"] = "2026-11-30T08:00:00Z"
    deaths.on_pods([going])
    deaths.threads.shutdown()
    assert deaths.api.noted == {}  # type: ignore[attr-defined]


def test_an_api_server_that_fails_leaves_the_failover_to_the_engine_and_opens_the_gate() -> None:
    def fail(*_: object) -> str:
        raise Refused(500, body="away")

    api = FakeApi(lock())
    deaths = Deaths(api=cast(Api, api), deciders={"postgres": fail})
    deaths.on_pods([pod()])
    deaths.threads.shutdown()
    assert api.noted == {"u": CONTAINER}
    assert release.refusal(api.lock, pod(), DEATH) == ""


def listed(name: str, namespace: str = "ns", owner: str = "pg") -> dict[str, Any]:
    labels = {CLUSTER_LABEL: "pg", ENGINE_LABEL: "postgres", PART_LABEL: MEMBER}
    owners = [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": owner, "uid": "s", "controller": True}]
    head = {"namespace": namespace, "name": name, "uid": name, "labels": labels, "ownerReferences": owners}
    return {"metadata": head, "spec": {}, "status": {"podIP": "10.0.0.1"}}


def test_the_members_beside_a_dead_one_are_those_of_its_own_cluster() -> None:
    dead = listed("pg-0")
    others = [listed("pg-1"), listed("pg-2", namespace="elsewhere"), listed("pg-3", owner="forger")]
    beside = members_beside(cast(Api, FakeApi(lock())), dead, [dead, *others])
    assert [each.name for each in beside] == ["pg-0", "pg-1"]
