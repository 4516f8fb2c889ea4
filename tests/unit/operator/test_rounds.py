"""Each cluster's loops: none waits for another, a woken one is applied at once, and a stuck one is told of."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from caplab_operator.engines.common import CommonConditions
from caplab_operator.engines.ownership import ForeignObject
from caplab_operator.engines.passwords import PasswordsLost
from caplab_operator.handlers import clusters, exporters, rounds
from caplab_operator.handlers.engines import ClusterController
from caplab_operator.handlers.rounds import Rounds
from caplab_operator.handlers.watched import WatchedClusters
from caplab_operator.health import BOUND_SECONDS, Health
from caplab_operator.settings import LAB_NAMESPACE_VARIABLE
from support.databases.loopback import run, wait_until

from caplab.contract.names import API_VERSION
from caplab.kube.errors import refusal

READY: dict[str, Any] = {"phase": "Ready", "conditions": []}


def body(name: str, uid: str = "", generation: int = 1) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "demo", "uid": uid or f"uid-{name}", "generation": generation}
    return {"apiVersion": API_VERSION, "kind": "RedisCluster", "metadata": metadata}


class FakeApi:
    """Takes statuses."""

    def __init__(self) -> None:
        self.statuses: dict[str, Mapping[str, Any]] = {}
        self.forgotten: list[str] = []
        self.invalidated: list[str] = []
        self.outdated: dict[str, bool] = {}

    @property
    def ledger(self) -> FakeApi:
        return self

    def forget(self, uid: str) -> None:
        self.forgotten.append(uid)

    def invalidate_all(self, uid: str) -> None:
        self.invalidated.append(uid)

    def take_outdated(self, uid: str) -> bool:
        return self.outdated.pop(uid, False)

    def apply_status(self, of: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        self.statuses[of["metadata"]["name"]] = status

    def is_current(self, _manifest: Any) -> bool:
        return True  # its own rights, which need nothing

    def all_of(self, *_: str) -> list[Any]:
        return []

    def condition(self, name: str, kind: str) -> Mapping[str, Any]:
        conditions = self.statuses.get(name, {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == kind), {})


class Handlers:
    """An engine's that count; a name in `stuck` or `never_applied` does not come back before it is let go."""

    def __init__(self) -> None:
        self.applied: list[tuple[str, int]] = []
        self.looks: dict[str, int] = {}
        self.stuck: set[str] = set()
        self.never_applied: set[str] = set()
        self.let_go = threading.Event()
        self.refuse: Exception | None = None
        self.blind: Exception | None = None

    def reconcile(self, _api: Any, of: Mapping[str, Any]) -> None:
        if of["metadata"]["name"] in self.never_applied:
            self.let_go.wait(10)
        self.applied.append((of["metadata"]["name"], of["metadata"]["generation"]))
        if self.refuse:
            raise self.refuse

    def run_round(self, _api: Any, of: Mapping[str, Any], _before: Any, _active_faults: Any) -> Mapping[str, Any]:
        name = of["metadata"]["name"]
        if name in self.stuck:
            self.let_go.wait(10)
        self.looks[name] = self.looks.get(name, 0) + 1
        if self.blind:
            raise self.blind
        return READY

    def roles(self, *_: Any) -> Any: ...


class FakeLab:
    def __init__(self) -> None:
        self.api, self.handlers, self.watched, self.seconds = FakeApi(), Handlers(), WatchedClusters(), 0.0
        controllers = {"RedisCluster": ClusterController(self.handlers)}
        api: Any = self.api
        self.health = Health(lambda: self.seconds)
        self.rounds = Rounds(
            api=api, controllers=controllers, watched=self.watched, active_faults=lambda _: {}, health=self.health
        )

    def on_event(self, of: Mapping[str, Any], event: str = "ADDED") -> None:
        self.watched.on_event(event, of)
        self.rounds.on_event(of, None)

    async def end(self) -> None:
        tasks = self.rounds.tasks()
        for task in tasks:
            task.cancel()
        self.handlers.let_go.set()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LAB_NAMESPACE_VARIABLE, "lab")
    for name, seconds in (("_ROUND_SECONDS", 0.005), ("_RETRY_SECONDS", 0.02)):
        monkeypatch.setattr(rounds, name, seconds)


def in_lab(scenario: Callable[[FakeLab], Any]) -> None:
    async def main() -> None:
        lab = FakeLab()
        try:
            await scenario(lab)
        finally:
            await lab.end()

    run(main)


def test_a_cluster_that_is_stuck_slows_no_other_and_is_told_of() -> None:
    async def scenario(lab: FakeLab) -> None:
        lab.handlers.stuck = {"slow"}
        for name in ("slow", "quick"):
            lab.on_event(body(name))
        await wait_until(lambda: lab.handlers.looks.get("quick", 0) > 3)
        assert "slow" not in lab.handlers.looks
        assert lab.health.trouble() == ""
        lab.seconds = BOUND_SECONDS + 1
        looks_so_far = lab.handlers.looks["quick"]
        await wait_until(lambda: lab.handlers.looks["quick"] > looks_so_far + 2)
        assert lab.health.trouble() == "RedisCluster demo/slow: no round has ended for 121 s"
        lab.on_event(body("slow"), "DELETED")
        assert lab.health.trouble() == ""  # who is gone has no rounds to end

    in_lab(scenario)


def test_a_cluster_that_is_looked_at_while_to_apply_it_is_stuck_is_told_of_too() -> None:
    async def scenario(lab: FakeLab) -> None:
        lab.on_event(body("rd"))
        await wait_until(lambda: lab.handlers.looks.get("rd", 0) > 1)
        lab.seconds = BOUND_SECONDS + 1
        looks = lab.handlers.looks["rd"]
        await wait_until(lambda: lab.handlers.looks["rd"] > looks + 2)
        assert lab.health.trouble() == ""  # nothing was to be applied since
        lab.handlers.never_applied = {"rd"}
        lab.rounds.running["uid-rd"].wake()
        await wait_until(lambda: "applying RedisCluster demo/rd" in lab.health._ended)
        lab.seconds *= 2.5
        looks = lab.handlers.looks["rd"]
        await wait_until(lambda: lab.handlers.looks["rd"] > looks + 2)
        assert lab.health.trouble() == "applying RedisCluster demo/rd: no round has ended for 182 s"
        lab.handlers.let_go.set()
        await wait_until(lambda: lab.health.trouble() == "")

    in_lab(scenario)


def test_a_new_spec_and_a_woken_cluster_are_applied_at_once_and_a_status_wakes_nobody() -> None:
    async def scenario(lab: FakeLab) -> None:
        lab.on_event(body("rd"))
        await wait_until(lambda: lab.handlers.applied == [("rd", 1)])
        lab.watched.on_event("MODIFIED", body("rd"))
        lab.rounds.on_event(body("rd"), 1)
        looks_so_far = lab.handlers.looks.get("rd", 0)
        await wait_until(lambda: lab.handlers.looks.get("rd", 0) > looks_so_far + 3)
        assert lab.handlers.applied == [("rd", 1)]
        lab.watched.on_event("MODIFIED", body("rd", generation=2))
        lab.rounds.on_event(body("rd", generation=2), 1)
        await wait_until(lambda: lab.handlers.applied[1:] == [("rd", 2)])
        lab.rounds.running["uid-rd"].wake()
        await wait_until(lambda: len(lab.handlers.applied) == 3)

    in_lab(scenario)


def test_another_cluster_of_the_same_name_has_loops_of_its_own() -> None:
    async def scenario(lab: FakeLab) -> None:
        lab.on_event(body("rd"))
        await wait_until(lambda: lab.handlers.applied)
        lab.on_event(body("rd", uid="another"), "MODIFIED")
        assert list(lab.rounds.running) == ["another"]
        assert lab.api.forgotten == ["uid-rd"]
        assert [cluster.uid for cluster in lab.rounds.clusters_in("demo")] == ["another"]
        assert lab.rounds.clusters_in("elsewhere") == []

    in_lab(scenario)


def test_a_conflict_is_told_of_and_the_cluster_goes_on_by_itself_when_it_is_over() -> None:
    async def scenario(lab: FakeLab) -> None:
        lab.handlers.refuse = ForeignObject(["Service rd-any (owned by no cluster)"])
        lab.on_event(body("rd"))
        await wait_until(lambda: lab.api.condition("rd", "Conflict").get("status") == "True")
        assert lab.api.statuses["rd"]["phase"] == "Creating"
        assert "rd" not in lab.handlers.looks  # nothing of it is there
        lab.handlers.refuse = None
        await wait_until(lambda: lab.api.statuses["rd"]["phase"] == "Ready")
        assert lab.api.condition("rd", "Conflict")["status"] == "False"

    in_lab(scenario)


def test_a_cluster_that_cannot_be_looked_at_is_not_called_ready_for_ever() -> None:
    async def scenario(lab: FakeLab) -> None:
        lab.on_event(body("rd"))
        await wait_until(lambda: lab.api.statuses.get("rd", {}).get("phase") == "Ready")
        lab.handlers.blind = OSError("something unforeseen")
        await wait_until(lambda: lab.api.statuses["rd"]["phase"] == "Unknown")
        ready = lab.api.condition("rd", "Ready")
        assert (ready["status"], "something unforeseen" in ready["message"]) == ("Unknown", True)
        lab.handlers.blind = None
        await wait_until(lambda: lab.api.statuses["rd"]["phase"] == "Ready")

    in_lab(scenario)


@pytest.mark.parametrize(
    ("error", "kind", "state"),
    [
        (ForeignObject(["Service x"]), "conflict", ("True", "ForeignObject")),
        (PasswordsLost("gone"), "startable", ("False", "PasswordsLost")),
        (refusal(422, "Invalid"), "startable", ("False", "Refused")),
        (refusal(409, "Conflict"), "startable", ("Unknown", "NotApplied")),
        (refusal(500, "down"), "startable", ("Unknown", "NotApplied")),
        (TimeoutError("timed out"), "startable", ("Unknown", "NotApplied")),
    ],
)
def test_what_kept_a_cluster_from_being_applied_is_a_condition(error: Exception, kind: str, state: Any) -> None:
    common = clusters.obstacle(error)
    assert getattr(common, kind)[:2] == state
    assert common != CommonConditions()


def test_the_oldest_round_is_exported_and_without_any_nothing_is_old() -> None:
    health = Health(lambda: 10.0)
    assert health.oldest() == ("", 0.0)
    health.note("faults")
    assert health.oldest() == ("faults", 0.0)
    health.forget("faults")
    assert health.trouble() == ""


@pytest.mark.parametrize("refuse", [None, PasswordsLost("gone")], ids=["applied", "not applied"])
def test_an_exporter_that_cannot_be_made_holds_up_nothing_and_is_tried_again_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, refuse: Exception | None
) -> None:
    tried: list[str] = []

    def keep(_api: Any, _exporting: Any, of: Mapping[str, Any]) -> str:
        tried.append(of["kind"])
        return "no place"

    monkeypatch.setattr(exporters, "keep", keep)
    monkeypatch.setattr(rounds, "_EXPORTER_SECONDS", 0.02)

    async def scenario(lab: FakeLab) -> None:
        exporting: Any = object()
        lab.rounds.controllers = {"RedisCluster": ClusterController(lab.handlers, None, exporting)}
        lab.handlers.refuse = refuse
        lab.on_event(body("rd"))
        await wait_until(lambda: lab.handlers.looks.get("rd", 0) > 3 and len(lab.handlers.applied) > 2)
        assert bool(tried) == (refuse is None)  # only where all else of the cluster is applied
        assert (lab.api.condition("rd", "Startable")["status"] == "True") == (refuse is None)

    in_lab(scenario)
    assert caplog.text.count("no place") == (1 if refuse is None else 0)


def test_an_exporter_that_is_stuck_is_told_of_and_the_cluster_is_looked_at_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(lab: FakeLab) -> None:
        def keep(*_: Any) -> str:
            lab.handlers.let_go.wait(10)
            return ""

        monkeypatch.setattr(exporters, "keep", keep)
        exporting: Any = object()
        lab.rounds.controllers = {"RedisCluster": ClusterController(lab.handlers, None, exporting)}
        lab.on_event(body("rd"))
        await wait_until(lambda: lab.handlers.looks.get("rd", 0) > 1)
        lab.seconds = BOUND_SECONDS + 1
        looks = lab.handlers.looks["rd"]
        await wait_until(lambda: lab.handlers.looks["rd"] > looks + 2)
        assert lab.health.trouble() == "applying RedisCluster demo/rd: no round has ended for 121 s"
        lab.handlers.let_go.set()
        await wait_until(lambda: lab.health.trouble() == "")

    in_lab(scenario)


def test_what_was_changed_again_while_it_was_applied_is_applied_once_more() -> None:
    async def scenario(lab: FakeLab) -> None:
        lab.api.outdated["uid-rd"] = True
        lab.on_event(body("rd"))
        await wait_until(lambda: len(lab.handlers.applied) == 2)

    in_lab(scenario)


def test_all_objects_are_applied_again_after_a_while_without_a_known_change(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(lab: FakeLab) -> None:
        lab.on_event(body("rd"))
        await wait_until(lambda: len(lab.handlers.applied) == 1)
        lab.rounds.running["uid-rd"].wake()
        await wait_until(lambda: len(lab.handlers.applied) == 2)
        assert lab.api.invalidated == []  # what has changed is known
        monkeypatch.setattr(rounds, "_RESYNC_SECONDS", 0.02)
        lab.rounds.running["uid-rd"].wake()
        await wait_until(lambda: len(lab.handlers.applied) == 4)
        assert lab.api.invalidated

    in_lab(scenario)
