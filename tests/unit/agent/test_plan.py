"""What the agent decides (pure): which assignments begin, heal, are refused and are forgotten."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import Signals
from typing import Any

import pytest
from caplab_agent.clock import Instant
from caplab_agent.faults import BEGUN, REBOOTED, Assignment, FaultRecord, Heal
from caplab_agent.injectors.partition.addresses import Partition
from caplab_agent.plan import DIED, LOST, TOO_LATE, DecisionContext, Plan, decide
from caplab_agent.requested import listed_fault, requested_faults

from caplab.contract.objects import SIGNALS, Freeze, Kill
from caplab.contract.phases import ACTIVE, FAILED, GONE, HEALED

WALL = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = 1_000_000_000
HERE = DecisionContext("node-1", "boot-1", Instant(100 * SECOND, WALL))
ASSIGNMENT = Assignment(
    fault_uid="f1", namespace="lab", name="kill-it", cluster="pg", pod_uid="p1", pod="pg-0", action=Kill()
)


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


def new_record(
    state: str = ACTIVE, deadline: float = 110.0, boot_id: str = "boot-1", pod_uid: str = "p1"
) -> FaultRecord:
    return FaultRecord(
        assignment=replace(ASSIGNMENT, pod_uid=pod_uid),
        boot_id=boot_id,
        deadline_ns=int(deadline * SECOND),
        state=state,
    )


def plan_of(objects: list[dict[str, Any]] | None, *records: FaultRecord, busy: bool = False) -> Plan:
    journal = {record.assignment.key: record for record in records}
    listed = None if objects is None else [listed_fault(body) for body in objects]
    return decide(listed, journal, set(journal) if busy else set(), HERE)


def test_a_new_assignment_of_this_node_begins_and_ends_with_its_duration() -> None:
    (begun,) = plan_of([fault(left=60)]).begin
    assert (begun.assignment, begun.boot_id, begun.state) == (ASSIGNMENT, "boot-1", BEGUN)
    assert begun.deadline_ns == 110 * SECOND


def test_until_ends_it_earlier_than_its_duration() -> None:
    (begun,) = plan_of([fault(left=2.5)]).begin
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
def test_what_is_not_assigned_to_this_node_or_over_is_left_alone(objects: list[dict[str, Any]] | None) -> None:
    assert plan_of(objects) == Plan()


@pytest.mark.parametrize(("state", "busy"), [(BEGUN, True), (ACTIVE, False)])
def test_what_was_begun_is_not_begun_again(state: str, busy: bool) -> None:
    assert plan_of([fault()], new_record(state), busy=busy) == Plan()


@pytest.mark.parametrize("left", [0, -3])
def test_a_fault_whose_time_is_over_is_not_begun(left: float) -> None:
    (record,) = plan_of([fault(left=left)]).report
    assert (record.state, record.problem, record.proven) == (FAILED, TOO_LATE, False)


def test_a_fault_deleted_before_it_was_begun_is_healed_so_that_its_finalizer_can_go() -> None:
    (record,) = plan_of([fault(deleted=True)]).report
    assert record.state == HEALED
    assert "nothing was done" in record.evidence[0]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (fault(kill=None), "spec names none of the faults that this agent supports"),
        (fault(freeze={}), "spec names kill and freeze of the faults that this agent supports"),
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
    (record,) = plan_of([body]).report
    assert record.state == FAILED
    assert field in record.problem


def test_signal_and_keep_down_are_read() -> None:
    (requested,) = requested_faults(listed_fault(fault(kill={"signal": "SIGTERM", "keepDown": False})), "node-1")
    assert requested.assignment.action == Kill(signal="SIGTERM", keep_down=False)


def test_the_signals_are_those_of_the_crd() -> None:
    text = (Path(__file__).parents[3] / "charts/caplab/templates/crds/fault.yaml").read_text()
    listed = re.search(r"default: SIGKILL\s+enum: \[([^\]]*)\]", text)
    assert listed
    assert set(re.findall(r"SIG\w+", listed[1])) == set(SIGNALS)
    assert {Signals[name].name for name in SIGNALS} == set(SIGNALS)


def test_a_freeze_and_a_partition_are_read_with_their_addresses() -> None:
    (requested,) = requested_faults(listed_fault(fault(kill=None, freeze={})), "node-1")
    assert requested.assignment.action == Freeze()
    body = partition(["10.0.0.2", "10.0.0.1", "10.0.0.2"], ["10.0.0.3"])
    (requested,) = requested_faults(listed_fault(body), "node-1")
    assert requested.assignment.action == Partition(("10.0.0.1", "10.0.0.2"), ("10.0.0.3",))
    del body["status"]["targets"][0]["dropsTo"]
    (requested,) = requested_faults(listed_fault(body), "node-1")
    assert requested.assignment.action == Partition(("10.0.0.1", "10.0.0.2"))


def test_the_cluster_is_the_targets_or_else_the_assignments_and_a_replacement_is_known_as_one() -> None:
    body = fault()
    body["status"]["targets"][0] |= {"cluster": "other", "replaces": "p0"}
    (requested,) = requested_faults(listed_fault(body), "node-1")
    assert (requested.assignment.cluster, requested.assignment.replaces) == ("pg", "p0")
    (requested,) = requested_faults(listed_fault(body | {"spec": {**body["spec"], "target": {"zone": "a"}}}), "node-1")
    assert requested.assignment.cluster == "other"


def partition(sources: list[str], destinations: list[str], **more: Any) -> dict[str, Any]:
    body = fault(kill=None, partition={"from": "peers"}, **more)
    body["status"]["targets"][0] |= {"dropsFrom": sources, "dropsTo": destinations}
    return body


CUT = replace(ASSIGNMENT, action=Partition(("10.0.0.1",), ()))


def test_addresses_that_changed_are_updated_while_the_partition_is_live() -> None:
    live = replace(new_record(), assignment=CUT)
    changed = partition(["10.0.0.2"], [], state=ACTIVE)
    (assignment,) = plan_of([changed], live).update
    assert assignment.action == Partition(("10.0.0.2",), ())
    assert plan_of([partition(["10.0.0.1"], [], state=ACTIVE)], live) == Plan()
    assert plan_of([changed], replace(live, state=BEGUN), busy=True).update == ()  # after its injection
    assert plan_of([changed], replace(live, state=HEALED)).update == ()
    assert plan_of([changed], replace(live, deadline_ns=100 * SECOND)).update == ()  # it heals
    assert plan_of([partition(["10.0.0.2"], [], deleted=True)], live).update == ()
    assert plan_of([fault(state=ACTIVE)], new_record()).update == ()


def test_a_pod_that_is_no_uid_is_never_healed_either() -> None:
    (record,) = plan_of([fault(state=ACTIVE, pod_uid="../../etc")]).report
    assert (record.state, "status.targets[].uid" in record.problem) == (FAILED, True)


@pytest.mark.parametrize(
    ("objects", "held", "heal"),
    [
        ([fault(state=ACTIVE)], new_record(deadline=100), Heal(ASSIGNMENT.key)),
        (None, new_record(deadline=100), Heal(ASSIGNMENT.key)),  # no API server is needed for that
        (
            [fault(state=ACTIVE, deleted=True)],
            new_record(),
            Heal(ASSIGNMENT.key, "healed early: the Fault was deleted"),
        ),
        ([], new_record(), Heal(ASSIGNMENT.key, "healed early: the Fault was gone")),
        ([fault("f2", node="node-2")], new_record(), Heal(ASSIGNMENT.key, "healed early: the Fault was gone")),
        (None, new_record(boot_id="boot-0"), Heal(ASSIGNMENT.key, REBOOTED)),
        (None, new_record(BEGUN, boot_id="boot-0"), Heal(ASSIGNMENT.key, REBOOTED)),
        (None, new_record(BEGUN), Heal(ASSIGNMENT.key, problem=DIED)),
    ],
)
def test_what_heals(objects: list[dict[str, Any]] | None, held: FaultRecord, heal: Heal) -> None:
    assert plan_of(objects, held) == Plan(heal=(heal,))


@pytest.mark.parametrize("objects", [None, [fault()], [fault(state=ACTIVE)]])
def test_what_is_under_way_and_not_due_is_left_alone(objects: list[dict[str, Any]] | None) -> None:
    assert plan_of(objects, new_record()) == Plan()


def test_an_injection_under_way_is_stopped_when_its_fault_is_deleted() -> None:
    (heal,) = plan_of([fault(deleted=True)], new_record(BEGUN), busy=True).heal
    assert heal.why


def test_a_fault_that_is_active_by_its_status_and_unknown_to_the_journal_is_healed_as_lost() -> None:
    (record,) = plan_of([fault(state=ACTIVE)]).report
    assert (record.state, record.problem) == (BEGUN, LOST)
    assert plan_of([fault(state=ACTIVE)], record).heal == (Heal(ASSIGNMENT.key, problem=LOST),)


def test_a_record_is_forgotten_when_its_object_shows_its_end_or_is_gone() -> None:
    assert plan_of([fault(state=HEALED)], new_record(HEALED)).forget == (ASSIGNMENT.key,)
    assert plan_of([fault(state=GONE)], new_record(GONE)).forget == (ASSIGNMENT.key,)
    assert plan_of([], new_record(FAILED)).forget == (ASSIGNMENT.key,)
    assert (
        plan_of([fault(state=ACTIVE)], new_record(HEALED)) == Plan()
    )  # the watch lags, or the report is still under way
    assert plan_of([fault()], new_record(FAILED)) == Plan()
    assert plan_of(None, new_record(HEALED)) == Plan()


def test_records_of_one_fault_are_forgotten_together() -> None:
    both = fault(state=HEALED)
    both["status"]["targets"].append({"uid": "p2", "pod": "pg-1", "node": "node-1", "state": ACTIVE})
    assert plan_of([both], new_record(HEALED), new_record(ACTIVE, pod_uid="p2")) == Plan()
    assert plan_of([both], new_record(HEALED), new_record(HEALED, pod_uid="p2")) == Plan()
    both["status"]["targets"][1]["state"] = HEALED
    assert len(plan_of([both], new_record(HEALED), new_record(HEALED, pod_uid="p2")).forget) == 2


def test_a_fault_whose_spec_cannot_be_read_is_reported_and_what_is_live_of_it_goes_on_to_its_end() -> None:
    odd = fault(kill={"keepDown": "yes"})
    (record,) = plan_of([odd]).report
    assert (record.state, record.assignment.pod_uid) == (FAILED, "p1")
    assert record.problem.startswith("fault.spec.kill.keepDown: must be true or false, found 'yes'. Hint: upgrade")
    live = {**odd, "status": fault(state=ACTIVE)["status"]}
    assert plan_of([live], new_record()) == Plan()
    live["metadata"] = {**live["metadata"], "deletionTimestamp": "2026-01-01T12:00:00Z"}
    assert [heal.why for heal in plan_of([live], new_record()).heal] == ["healed early: the Fault was deleted"]


@pytest.mark.parametrize("status", [{"targets": "p1"}, {"targets": [{"pod": "pg-0"}]}, {"phase": 1}])
def test_a_fault_whose_status_cannot_be_read_keeps_no_other_from_beginning(status: dict[str, Any]) -> None:
    plan = plan_of([{**fault("odd"), "status": status}, fault()])
    assert [record.assignment.fault_uid for record in plan.begin] == ["f1"]
    assert plan_of([{**fault(), "status": status}], new_record()).heal == ()
