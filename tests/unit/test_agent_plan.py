"""What the agent decides (pure): which entries begin, heal, are refused and are forgotten."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from caplab_agent.clock import Instant
from caplab_agent.faults import (
    ACTIVE,
    BEGUN,
    FAILED,
    GONE,
    HEALED,
    SIGNALS,
    Entry,
    Freeze,
    Kill,
    Order,
    Partition,
    asked_here,
)
from caplab_agent.plan import DIED, LOST, REBOOTED, TOO_LATE, Heal, Here, Moves, decide

WALL = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = 1_000_000_000
HERE = Here("node-1", "boot-1", Instant(100 * SECOND, WALL))
ORDER = Order("f1", "lab", "kill-it", "pg", "p1", "pg-0", Kill())


def fault(
    uid: str = "f1",
    state: str = "",
    node: str = "node-1",
    deleted: bool = False,
    left: float = 10.0,
    pod_uid: str = "p1",
    **spec: object,
) -> dict[str, Any]:
    metadata = {"uid": uid, "namespace": "lab", "name": "kill-it"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    target = {"uid": pod_uid, "pod": "pg-0", "node": node, "zone": "a"} | ({"state": state} if state else {})
    whole = {"target": {"kind": "PostgresCluster", "name": "pg", "role": "primary"}, "kill": {}, "durationSeconds": 10}
    until = (WALL + timedelta(seconds=left)).isoformat()
    return {"metadata": metadata, "spec": {**whole, **spec}, "status": {"until": until, "targets": [target]}}


def entry(state: str = ACTIVE, deadline: float = 110.0, boot_id: str = "boot-1", pod_uid: str = "p1") -> Entry:
    return Entry(replace(ORDER, pod_uid=pod_uid), boot_id, int(deadline * SECOND), state)


def moves(objects: list[dict[str, Any]] | None, *entries: Entry, busy: bool = False) -> Moves:
    journal = {each.order.key: each for each in entries}
    return decide(objects, journal, set(journal) if busy else set(), HERE)


def test_a_new_entry_of_this_node_begins_and_ends_with_its_duration() -> None:
    (begun,) = moves([fault(left=60)]).begin
    assert (begun.order, begun.boot_id, begun.state) == (ORDER, "boot-1", BEGUN)
    assert begun.deadline_ns == 110 * SECOND


def test_until_ends_it_earlier_than_its_duration() -> None:
    (begun,) = moves([fault(left=2.5)]).begin
    assert begun.deadline_ns == 102.5 * SECOND


@pytest.mark.parametrize(
    "objects",
    [
        [],
        [fault(node="node-2")],
        [{"metadata": {"uid": "f1", "namespace": "lab", "name": "kill-it"}, "spec": {}}],  # not resolved yet
        [fault(state=HEALED)],
        [fault(state=FAILED)],
        [fault(state=GONE)],
        None,
    ],
)
def test_what_is_not_asked_of_this_node_or_over_is_left_alone(objects: list[dict[str, Any]] | None) -> None:
    assert moves(objects) == Moves()


@pytest.mark.parametrize(("state", "busy"), [(BEGUN, True), (ACTIVE, False)])
def test_what_was_begun_is_not_begun_again(state: str, busy: bool) -> None:
    assert moves([fault()], entry(state), busy=busy) == Moves()


@pytest.mark.parametrize("left", [0, -3])
def test_a_fault_whose_time_is_over_is_not_begun(left: float) -> None:
    (record,) = moves([fault(left=left)]).record
    assert (record.state, record.problem, record.proven) == (FAILED, TOO_LATE, False)


def test_a_fault_deleted_before_it_was_begun_is_healed_so_that_its_finalizer_can_go() -> None:
    (record,) = moves([fault(deleted=True)]).record
    assert record.state == HEALED
    assert "nothing was done" in record.evidence[0]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (fault(kill=None), "spec names none. Hint: "),
        (fault(freeze={}), "spec names kill and freeze. Hint: "),
        (fault(kill={"signal": "SIGSTOP"}), "spec.kill.signal"),
        (fault(kill={"signal": "SIGCHLD"}), "spec.kill.signal"),
        (fault(durationSeconds="ten"), "spec.durationSeconds"),
        (fault(durationSeconds=0), "spec.durationSeconds"),
        (fault() | {"status": {**fault()["status"], "until": "soon"}}, "status.until"),
        (fault() | {"status": {**fault()["status"], "until": "2026-01-01T12:00:00"}}, "status.until"),
        (fault(pod_uid="../../etc"), "status.targets[].uid"),
    ],
)
def test_what_cannot_be_read_fails_with_the_field(body: dict[str, Any], field: str) -> None:
    (record,) = moves([body]).record
    assert record.state == FAILED
    assert field in record.problem


def test_signal_and_keep_down_are_read() -> None:
    (asked,) = asked_here(fault(kill={"signal": "SIGTERM", "keepDown": False}), "node-1")
    assert asked.order.what == Kill("SIGTERM", False)


def test_the_signals_are_those_of_the_crd() -> None:
    text = (Path(__file__).parents[2] / "charts/caplab/templates/crds/fault.yaml").read_text()
    listed = re.search(r"default: SIGKILL\s+enum: \[([^\]]*)\]", text)
    assert listed
    assert set(re.findall(r"SIG\w+", listed[1])) == SIGNALS
    assert {Kill(name).number.name for name in SIGNALS} == SIGNALS


def test_a_freeze_and_a_partition_are_read_with_their_addresses() -> None:
    (asked,) = asked_here(fault(kill=None, freeze={}), "node-1")
    assert asked.order.what == Freeze()
    body = partition(["10.0.0.2", "10.0.0.1", "10.0.0.2"], ["10.0.0.3"])
    (asked,) = asked_here(body, "node-1")
    assert asked.order.what == Partition(("10.0.0.1", "10.0.0.2"), ("10.0.0.3",))
    del body["status"]["targets"][0]["dropsTo"]
    (asked,) = asked_here(body, "node-1")
    assert asked.order.what == Partition(("10.0.0.1", "10.0.0.2"))


def test_the_cluster_is_the_targets_or_else_the_entrys_and_a_replacement_is_known_as_one() -> None:
    body = fault()
    body["status"]["targets"][0] |= {"cluster": "other", "replaces": "p0"}
    (asked,) = asked_here(body, "node-1")
    assert (asked.order.cluster, asked.order.replaces) == ("pg", "p0")
    (asked,) = asked_here(body | {"spec": {**body["spec"], "target": {"zone": "a"}}}, "node-1")
    assert asked.order.cluster == "other"


def partition(sources: list[str], destinations: list[str], **more: Any) -> dict[str, Any]:
    body = fault(kill=None, partition={"from": "peers"}, **more)
    body["status"]["targets"][0] |= {"dropsFrom": sources, "dropsTo": destinations}
    return body


CUT = replace(ORDER, what=Partition(("10.0.0.1",), ()))


def test_addresses_that_changed_are_adjusted_while_the_partition_is_live() -> None:
    live = replace(entry(), order=CUT)
    changed = partition(["10.0.0.2"], [], state=ACTIVE)
    (order,) = moves([changed], live).adjust
    assert order.what == Partition(("10.0.0.2",), ())
    assert moves([partition(["10.0.0.1"], [], state=ACTIVE)], live) == Moves()
    assert moves([changed], replace(live, state=BEGUN), busy=True).adjust == ()  # after its injection
    assert moves([changed], replace(live, state=HEALED)).adjust == ()
    assert moves([changed], replace(live, deadline_ns=100 * SECOND)).adjust == ()  # it heals
    assert moves([partition(["10.0.0.2"], [], deleted=True)], live).adjust == ()
    assert moves([fault(state=ACTIVE)], entry()).adjust == ()


def test_a_pod_that_is_no_uid_is_never_healed_either() -> None:
    (record,) = moves([fault(state=ACTIVE, pod_uid="../../etc")]).record
    assert (record.state, "status.targets[].uid" in record.problem) == (FAILED, True)


@pytest.mark.parametrize(
    ("objects", "held", "heal"),
    [
        ([fault(state=ACTIVE)], entry(deadline=100), Heal(ORDER.key)),
        (None, entry(deadline=100), Heal(ORDER.key)),  # no API server is needed for that
        ([fault(state=ACTIVE, deleted=True)], entry(), Heal(ORDER.key, "healed early: the Fault was deleted")),
        ([], entry(), Heal(ORDER.key, "healed early: the Fault was gone")),
        ([fault("f2", node="node-2")], entry(), Heal(ORDER.key, "healed early: the Fault was gone")),
        (None, entry(boot_id="boot-0"), Heal(ORDER.key, REBOOTED)),
        (None, entry(BEGUN, boot_id="boot-0"), Heal(ORDER.key, REBOOTED)),
        (None, entry(BEGUN), Heal(ORDER.key, problem=DIED)),
    ],
)
def test_what_heals(objects: list[dict[str, Any]] | None, held: Entry, heal: Heal) -> None:
    assert moves(objects, held) == Moves(heal=(heal,))


@pytest.mark.parametrize("objects", [None, [fault()], [fault(state=ACTIVE)]])
def test_what_is_under_way_and_not_due_is_left_alone(objects: list[dict[str, Any]] | None) -> None:
    assert moves(objects, entry()) == Moves()


def test_an_injection_under_way_is_stopped_when_its_fault_is_deleted() -> None:
    (heal,) = moves([fault(deleted=True)], entry(BEGUN), busy=True).heal
    assert heal.why


def test_a_fault_that_is_active_by_its_status_and_unknown_to_the_journal_is_healed_as_lost() -> None:
    (record,) = moves([fault(state=ACTIVE)]).record
    assert (record.state, record.problem) == (BEGUN, LOST)
    assert moves([fault(state=ACTIVE)], record).heal == (Heal(ORDER.key, problem=LOST),)


def test_an_entry_is_forgotten_when_its_object_shows_its_end_or_is_gone() -> None:
    assert moves([fault(state=HEALED)], entry(HEALED)).forget == (ORDER.key,)
    assert moves([fault(state=GONE)], entry(GONE)).forget == (ORDER.key,)
    assert moves([], entry(FAILED)).forget == (ORDER.key,)
    assert moves([fault(state=ACTIVE)], entry(HEALED)) == Moves()  # the watch lags, or the report is still under way
    assert moves([fault()], entry(FAILED)) == Moves()
    assert moves(None, entry(HEALED)) == Moves()


def test_entries_of_one_fault_are_forgotten_together() -> None:
    both = fault(state=HEALED)
    both["status"]["targets"].append({"uid": "p2", "pod": "pg-1", "node": "node-1", "state": ACTIVE})
    assert moves([both], entry(HEALED), entry(ACTIVE, pod_uid="p2")) == Moves()
    assert moves([both], entry(HEALED), entry(HEALED, pod_uid="p2")) == Moves()
    both["status"]["targets"][1]["state"] = HEALED
    assert len(moves([both], entry(HEALED), entry(HEALED, pod_uid="p2")).forget) == 2
