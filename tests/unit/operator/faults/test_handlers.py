"""What the operator reads and writes for a Fault, and in which order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from caplab_operator.faults.targets import Roles
from caplab_operator.settings import LAB_NAMESPACE_VARIABLE
from support.objects.fake_fault_api import KILL, LED, PEERS, FakeFaultApi, handlers_of, live
from support.operator.fault_bodies import advance, sync_targets
from support.operator.fault_inventory import PG, anew, body, of, spec, with_pods

from caplab.contract.names import FINALIZER
from caplab.kube.errors import Refused, refusal


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LAB_NAMESPACE_VARIABLE, "lab")


def test_a_fault_is_held_before_the_agents_get_their_orders() -> None:
    api = FakeFaultApi(body(PEERS))
    advance(handlers_of(api), body(PEERS))
    assert api.written == ["hold", "status Pending"]
    assert [(entry["pod"], entry["end"]) for entry in api.entries] == [
        ("pg-1", "target"),
        ("pg-0", "other"),
        ("pg-2", "other"),
    ]
    assert api.entries[0]["dropsFrom"] == ["10.0.0.10", "10.0.0.12"]
    assert api.fault
    left = datetime.fromisoformat(api.fault["status"]["until"]) - datetime.now(UTC)
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)


def test_roles_are_asked_for_only_where_a_target_names_one() -> None:
    def nobody(*_: object) -> Roles:
        raise AssertionError("asked")

    for target in (of("pg", members=["pg-0"]), {"zone": "a"}, {"node": "node-a"}):
        api = FakeFaultApi(body(spec(target)))
        advance(handlers_of(api, nobody), body(spec(target)))
        assert [entry["pod"] for entry in api.entries][:1] == ["pg-0"]


def test_the_authority_is_asked_while_pods_are_listed() -> None:
    """Neither begins after the other has ended."""
    both = threading.Barrier(2, timeout=5)

    class Waiting(FakeFaultApi):
        def pods_where(self, namespace: str, selector: str) -> list[dict[str, Any]]:
            both.wait()
            return super().pods_where(namespace, selector)

    def roles(*_: object) -> Roles:
        both.wait()
        return LED

    api = Waiting(body(KILL))
    advance(handlers_of(api, roles), body(KILL))
    assert [entry["pod"] for entry in api.entries] == ["pg-1"]


def test_a_fault_that_hits_nobody_is_refused_on_the_object_and_let_go() -> None:
    fault_spec = spec(of("pg", members=["pg-9"]))
    api = FakeFaultApi(body(fault_spec))
    handlers = handlers_of(api)
    advance(handlers, body(fault_spec))
    assert api.fault
    assert "pg-9: pg has no such member" in api.fault["status"]["message"]
    advance(handlers, deepcopy(api.fault))
    assert api.written == ["hold", "status Failed", "release"]


def test_where_the_operator_has_no_rights_there_is_no_cluster_and_so_no_primary() -> None:
    """Its rights come with each cluster; whatever else the API server says against it is told, and tried again."""

    def refused(status: int) -> Callable[..., Roles]:
        def roles(*_: object) -> Roles:
            raise refusal(status)

        return roles

    api = FakeFaultApi(body(KILL))
    advance(handlers_of(api, refused(403)), body(KILL))
    assert api.written == ["hold", "status Failed"]
    assert api.fault
    assert "Hint:" in api.fault["status"]["message"]
    with pytest.raises(Refused):
        advance(handlers_of(FakeFaultApi(body(KILL)), refused(500)), body(KILL))


@pytest.mark.parametrize("finalizers", [[], [FINALIZER]])
def test_what_was_last_heard_of_a_fault_does_not_resolve_it_again(finalizers: list[str]) -> None:
    """The primary may be another by now."""
    api = FakeFaultApi(live(KILL))
    advance(handlers_of(api, lambda *_: Roles(primary="pg-0")), body(KILL, finalizers=finalizers))
    assert [entry["pod"] for entry in api.entries] == ["pg-1"]
    assert "status Pending" not in api.written
    assert (api.lists == 0) == bool(finalizers)  # nor is its inventory read again, where that is known


@pytest.mark.parametrize("now", [None, body(KILL, uid="another")])
def test_a_fault_that_is_gone_meanwhile_gets_no_status(now: dict[str, Any] | None) -> None:
    class Gone(FakeFaultApi):
        def apply(self, manifest: Mapping[str, Any]) -> None:
            self.written.append("hold")

    api = Gone(now)
    advance(handlers_of(api), body(KILL))
    assert api.written == ["hold"]


def test_nothing_is_ordered_where_the_fault_could_not_be_held() -> None:
    class Refusing(FakeFaultApi):
        def apply(self, manifest: Mapping[str, Any]) -> None:
            raise OSError("refused")

    api = Refusing(body(KILL))
    with pytest.raises(OSError, match="refused"):
        advance(handlers_of(api), body(KILL))
    assert api.written == []


def test_a_phase_is_written_for_the_object_as_it_is_and_not_as_it_was_heard() -> None:
    """An entry that was added meanwhile would lose what is the operator's."""
    from_watch, api = live(KILL, "Pending"), FakeFaultApi(live(KILL, "Pending"))
    from_watch["status"]["targets"][0]["state"] = "Active"
    added = {**api.entries[0], "uid": "new", "replaces": "u-pg-1"}
    api.entries.append(added)
    handlers = handlers_of(api)
    advance(handlers, from_watch)
    assert api.written == []  # what is there says something else
    api.say("Active")
    advance(handlers, from_watch)
    assert api.written == ["status Active"]
    assert [entry["uid"] for entry in api.entries] == ["u-pg-1", "new"]


def test_a_fault_on_a_node_that_is_gone_is_let_go_when_it_is_deleted() -> None:
    going = live(KILL, deletionTimestamp="now")
    api = FakeFaultApi(deepcopy(going))
    api.nodes = set()
    handlers = handlers_of(api)
    advance(handlers, going)
    assert api.fault
    advance(handlers, deepcopy(api.fault))
    assert api.written == ["status Healed", "release"]


def test_a_pod_that_took_a_place_is_written_into_the_fault_and_only_once() -> None:
    from_watch = live(PEERS)
    api, inventory = FakeFaultApi(deepcopy(from_watch)), with_pods(anew(PG[1]))
    handlers = handlers_of(api)
    sync_targets(handlers, from_watch, inventory)
    sync_targets(handlers, from_watch, inventory)  # before the watch tells of it
    assert api.written == ["status Active"]
    assert api.entries[-1]["replaces"] == "u-pg-1"
    assert api.entries[1]["dropsFrom"] == ["10.0.1.11"]


def test_a_fault_that_was_deleted_meanwhile_gets_no_new_entries() -> None:
    from_watch = live(KILL)
    api = FakeFaultApi({**from_watch, "metadata": {**from_watch["metadata"], "deletionTimestamp": "now"}})
    sync_targets(handlers_of(api), from_watch, with_pods(anew(PG[1])))
    assert api.written == []
