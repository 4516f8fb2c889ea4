"""What may be hit (pure): namespaces, pods, and the addresses that may be dropped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from caplab_agent.drop_rules import DropAddresses, address
from caplab_agent.faults import Assignment, Freeze, Kill, Partition
from caplab_agent.guard import AddressRefused, own_addresses, permitted, refusal

ASSIGNMENT = Assignment("f1", "lab", "kill-it", "pg", "p1", "pg-0", Kill())

NAMESPACE: Any = {"metadata": {"name": "lab", "labels": {"caplab.dev/chaos": "allowed"}}}
POD: Any = {
    "metadata": {"uid": "p1", "name": "pg-0", "labels": {"caplab.dev/cluster": "pg"}},
    "spec": {"nodeName": "node-1"},
    "status": {"podIP": "10.244.1.7", "podIPs": [{"ip": "10.244.1.7"}, {"ip": "fd00::7"}], "hostIP": "10.89.0.3"},
}
EXPORTER_LABELS = {**POD["metadata"]["labels"], "caplab.dev/part": "exporter"}
EXPORTER: Any = {**POD, "metadata": {**POD["metadata"], "labels": EXPORTER_LABELS}}


def test_a_member_in_a_labelled_namespace_may_be_hit() -> None:
    assert not refusal(ASSIGNMENT, NAMESPACE, POD, "node-1", "caplab-system")


@pytest.mark.parametrize(
    ("assignment", "namespace", "pod", "names"),
    [
        (ASSIGNMENT, {"metadata": {"name": "lab"}}, POD, "namespace lab does not carry"),
        (ASSIGNMENT, {"metadata": {"labels": {"caplab.dev/chaos": "no"}}}, POD, "caplab.dev/chaos=allowed"),
        (ASSIGNMENT, None, POD, "namespace lab does not carry"),
        (replace(ASSIGNMENT, namespace="kube-system"), NAMESPACE, POD, "namespace kube-system is protected"),
        (replace(ASSIGNMENT, namespace="caplab-system"), NAMESPACE, POD, "namespace caplab-system is protected"),
        (ASSIGNMENT, NAMESPACE, None, "pod pg-0 is gone"),
        (ASSIGNMENT, NAMESPACE, {**POD, "metadata": {**POD["metadata"], "uid": "p2"}}, "uid p2"),
        (ASSIGNMENT, NAMESPACE, {**POD, "spec": {"nodeName": "node-2"}}, "on node node-2"),
        (ASSIGNMENT, NAMESPACE, {**POD, "metadata": {"uid": "p1"}}, "does not carry the label caplab.dev/cluster"),
        (replace(ASSIGNMENT, cluster=""), NAMESPACE, {**POD, "metadata": {"uid": "p1"}}, "does not carry the label"),
        (ASSIGNMENT, NAMESPACE, EXPORTER, "pod pg-0 carries caplab.dev/part=exporter: it only exports metrics"),
        (replace(ASSIGNMENT, cluster="other"), NAMESPACE, POD, "the fault is for 'other'"),
    ],
)
def test_the_guards_name_what_is_wrong_and_the_hint(
    assignment: Assignment, namespace: Any, pod: Any, names: str
) -> None:
    problem = refusal(assignment, namespace, pod, "node-1", "caplab-system")
    assert names in problem
    assert "Hint: " in problem


@pytest.mark.parametrize("action", [Kill(), Freeze(), Partition(("10.244.1.5",), ("fd00::5", "10.96.0.1"))])
def test_every_kind_may_hit_a_member_of_any_cluster_where_none_is_named(action: Any) -> None:
    assert not refusal(replace(ASSIGNMENT, cluster="", action=action), NAMESPACE, POD, "node-1", "caplab-system")


@pytest.mark.parametrize(
    "protected",
    [
        "10.244.1.7",  # the pod's own
        "fd00::7",
        "FD00:0::7",
        "10.89.0.3",  # its node's
        "::ffff:10.89.0.3",
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "ff02::1",
        "10.0.0.0/8",
        "pg-1",
        "",
        "10.0.0.1; flush ruleset",
        "fe80::1%eth0",
        "fe80::1%} flush ruleset",
    ],
)
@pytest.mark.parametrize("field", ["dropsFrom", "dropsTo"])
def test_addresses_that_must_not_be_cut_are_refused_by_field(protected: str, field: str) -> None:
    lists = (("10.244.1.5", protected), ()) if field == "dropsFrom" else ((), (protected,))
    problem = refusal(replace(ASSIGNMENT, action=Partition(*lists)), NAMESPACE, POD, "node-1", "caplab-system")
    assert f"status.targets[].{field} names" in problem
    assert "Hint: " in problem


def test_a_pod_whose_node_is_not_known_is_cut_only_once_it_is() -> None:
    unplaced = {**POD, "status": {}}
    assignment = replace(ASSIGNMENT, action=Partition(("10.244.1.5",), ()))
    assert "hostIP" in refusal(assignment, NAMESPACE, unplaced, "node-1", "caplab-system")
    assert not refusal(replace(assignment, replaces="p0"), NAMESPACE, unplaced, "node-1", "caplab-system")


def test_permitted_addresses_are_values_and_a_pods_own_are_all_that_its_status_names() -> None:
    assert own_addresses(POD) == ("10.244.1.7", "10.89.0.3", "fd00::7")
    assert own_addresses({"status": {"hostIPs": [{"ip": "10.89.0.4"}]}}) == ("10.89.0.4",)
    assert own_addresses(None) == ()
    drops = permitted(Partition(("::ffff:10.0.0.1",), ("FD00::5",)), own_addresses(POD))
    assert drops == DropAddresses((address("10.0.0.1"),), (address("fd00::5"),))
    with pytest.raises(AddressRefused):
        permitted(Partition(("10.0.0.1",), ()), ("10.0.0.1",))
