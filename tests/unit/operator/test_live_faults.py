"""The targets of live faults are synced round by round, and nothing is read while there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kopf
import pytest
from caplab_operator.faults.inventory import Inventory
from caplab_operator.faults.targets import Roles
from caplab_operator.handlers import wiring
from caplab_operator.handlers.engines import ClusterController
from caplab_operator.handlers.faults.handlers import FaultHandlers
from caplab_operator.handlers.faults.live import LiveFaults
from caplab_operator.handlers.faults.reading import Reader
from caplab_operator.handlers.watched import WatchedRecords, key_of
from caplab_operator.settings import LAB_NAMESPACE_VARIABLE
from support.objects.fake_fault_api import KILL, LED, PEERS, PRIMARY, FakeFaultApi, handlers_of, live
from support.operator.fault_inventory import INVENTORY, PG, anew, body, spec, with_pods

from caplab.contract.objects import Fault


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LAB_NAMESPACE_VARIABLE, "lab")


async def wait_until(what: str, holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(what)


def in_rounds(api: FakeFaultApi, watched: WatchedRecords[Fault], scenario: Callable[[LiveFaults], Any]) -> None:
    async def main() -> None:
        rounds = LiveFaults(watched=watched, handlers=handlers_of(api), threads=ThreadPoolExecutor(4))
        task = asyncio.create_task(rounds.run())
        try:
            await scenario(rounds)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_a_live_fault_is_followed_from_when_it_is_heard_of_to_its_end() -> None:
    api, watched = FakeFaultApi(live(PEERS)), WatchedRecords(record=Fault)

    async def scenario(rounds: LiveFaults) -> None:
        rounds.wake()
        await asyncio.sleep(0)
        assert api.lists == 0  # nothing is live
        watched.on_event("ADDED", live(PEERS))
        rounds.wake()
        await wait_until("pods are listed", lambda: api.lists > 0)
        assert api.written == []
        api.pods = list(with_pods(anew(PG[1])).pods)
        await wait_until("the new pod is caught", lambda: bool(api.written))
        assert api.entries[-1]["uid"] == "u-pg-1-2"
        watched.on_event("DELETED", live(PEERS))
        await wait_until("it waits for another one", lambda: not rounds._live())

    in_rounds(api, watched, scenario)


def test_all_faults_of_a_namespace_share_a_list_and_each_is_followed() -> None:
    api, watched = FakeFaultApi(live(KILL)), WatchedRecords(record=Fault)
    caught: list[str] = []

    class Failing(FaultHandlers):
        def sync_targets(self, fault: Fault, inventory: Inventory) -> None:
            caught.append(fault.metadata.name)
            if fault.metadata.name == "f1":
                raise OSError("something unforeseen")

    async def main() -> None:
        for number in range(3):
            watched.on_event("ADDED", live(KILL, name=f"f{number}"))
        served: Any = api
        handlers = Failing(served, handlers_of(api).roles_of, Reader(served))
        rounds = LiveFaults(watched=watched, handlers=handlers, threads=ThreadPoolExecutor(4))
        (faults,) = rounds._live().values()
        await rounds._sync("demo", faults)
        assert (api.lists, sorted(caught)) == (1, ["f0", "f1", "f2"])  # in threads, so in any order

    asyncio.run(main())


def test_one_fault_that_nobody_can_read_ends_the_following_of_no_other(caplog: pytest.LogCaptureFixture) -> None:
    odd = live(KILL, name="odd")
    api, watched = FakeFaultApi(live(KILL), with_pods(anew(PG[1])).pods), WatchedRecords(record=Fault)
    with caplog.at_level("WARNING"):
        watched.on_event("ADDED", {**odd, "status": {**odd["status"], "phase": []}})  # no schema lets that through: yet
    assert "Fault demo/odd can't be read: object.status.phase: must be a text, found []." in caplog.text
    watched.on_event("ADDED", live(KILL))

    async def scenario(rounds: LiveFaults) -> None:
        rounds.wake()
        await wait_until("the new pod is caught", lambda: bool(api.written))

    in_rounds(api, watched, scenario)


def test_to_follow_faults_is_a_round_that_health_knows_only_while_it_lasts() -> None:
    api, watched = FakeFaultApi(live(KILL)), WatchedRecords(record=Fault)
    watched.on_event("ADDED", live(KILL))

    async def scenario(rounds: LiveFaults) -> None:
        rounds.wake()
        await wait_until("a round lasts", lambda: rounds.health.oldest()[0] == "target sync of live faults")
        watched.on_event("DELETED", live(KILL))
        await wait_until("there is none", lambda: rounds.health.oldest()[0] == "")

    in_rounds(api, watched, scenario)


def test_a_list_that_fails_is_tried_again_in_the_next_round() -> None:
    api, watched = FakeFaultApi(live(KILL), with_pods(anew(PG[1])).pods), WatchedRecords(record=Fault)
    api.fails = True
    watched.on_event("ADDED", live(KILL))

    async def scenario(rounds: LiveFaults) -> None:
        rounds.wake()
        await wait_until("it failed", lambda: api.lists > 0)
        api.fails = False
        await wait_until("the new pod is caught", lambda: bool(api.written))

    in_rounds(api, watched, scenario)


def test_another_fault_of_the_same_name_is_not_followed_by_what_was_read_for_the_old_one() -> None:
    """It would let go of the probers, of whom the old one had no need to know."""
    old, new = live(KILL), live(spec(PRIMARY, partition={"from": "clients"}), uid="another")
    api, watched, read_for_old = FakeFaultApi(new), WatchedRecords(record=Fault), Inventory(pods=INVENTORY.pods)

    async def main() -> None:
        rounds = LiveFaults(watched=watched, handlers=handlers_of(api), threads=ThreadPoolExecutor(4))
        watched.on_event("ADDED", new)
        key = key_of(new)
        await rounds._sync_one(key, Fault.from_body(old), read_for_old)
        assert api.written == []
        await rounds._sync_one(key, Fault.from_body(new), read_for_old)
        assert api.written == ["status Active"]  # as it would have been

    asyncio.run(main())


def test_a_fault_that_is_heard_of_is_resolved_and_then_followed() -> None:
    """From the event's handler on, as kopf calls it."""
    api, registry = FakeFaultApi(body(KILL)), kopf.OperatorRegistry()

    class Handlers:
        def roles(self, *_: object) -> Roles:
            return LED

    async def main() -> None:
        served: Any = api
        handlers: Any = Handlers()
        lab = wiring.Lab(api=served, controllers={"PostgresCluster": ClusterController(handlers)})
        wiring._register_events(registry, lab)
        on_event: Any = next(
            handler.fn for handler in registry._watching.get_all_handlers() if handler.id.endswith("on_fault_event")
        )
        task = asyncio.create_task(lab.live_faults.run())
        await on_event(event={"type": "ADDED"}, body=body(KILL))
        assert api.written == ["hold", "status Pending"]
        api.pods = list(with_pods(anew(PG[1])).pods)
        await on_event(event={"type": "MODIFIED"}, body=api.fault)
        await wait_until("the new pod is caught", lambda: len(api.entries) == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
