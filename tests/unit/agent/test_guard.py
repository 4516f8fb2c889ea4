"""What may be hit (pure): namespaces, pods, and the addresses that may be dropped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from caplab_agent.faults import Assignment
from caplab_agent.guard import refusal
from caplab_agent.injectors.partition.addresses import Partition

from caplab.contract.names import CHAOS_LABEL, CLUSTER_LABEL, PART_LABEL
from caplab.contract.objects import Freeze, Kill

ASSIGNMENT = Assignment(
    fault_uid="f1", namespace="lab", name="kill-it", cluster="pg", pod_uid="p1", pod="pg-0", action=Kill()
)

NAMESPACE: Any = {"metadata": {"name": "lab", "labels": {CHAOS_LABEL: "allowed"}}}
POD: Any = {
    "metadata": {"uid": "p1", "name": "pg-0", "labels": {CLUSTER_LABEL: "pg"}},
    "spec": {"nodeName": "node-1"},
    "status": {"podIP": "10.244.1.7", "podIPs": [{"ip": "10.244.1.7"}, {"ip": "fd00::7"}], "hostIP": "10.89.0.3"},
}
EXPORTER_LABELS = {**POD["metadata"]["labels"], PART_LABEL: "exporter"}
EXPORTER: Any = {**POD, "metadata": {**POD["metadata"], "labels": EXPORTER_LABELS}}


def test_a_member_in_a_labelled_namespace_may_be_hit() -> None:
    assert not refusal(ASSIGNMENT, NAMESPACE, POD, "node-1", "caplab-system")


@pytest.mark.parametrize(
    ("assignment", "namespace", "pod", "names"),
    [
        (ASSIGNMENT, {"metadata": {"name": "lab"}}, POD, "namespace lab does not carry"),
        (ASSIGNMENT, {"metadata": {"labels": {CHAOS_LABEL: "no"}}}, POD, f"{CHAOS_LABEL}=allowed"),
        (ASSIGNMENT, None, POD, "namespace lab does not carry"),
        (replace(ASSIGNMENT, namespace="kube-system"), NAMESPACE, POD, "namespace kube-system is protected"),
        (replace(ASSIGNMENT, namespace="caplab-system"), NAMESPACE, POD, "namespace caplab-system is protected"),
        (ASSIGNMENT, NAMESPACE, None, "pod pg-0 is gone"),
        (ASSIGNMENT, NAMESPACE, {**POD, "metadata": {**POD["metadata"], "uid": "p2"}}, "uid p2"),
        (ASSIGNMENT, NAMESPACE, {**POD, "spec": {"nodeName": "node-2"}}, "on node node-2"),
        (ASSIGNMENT, NAMESPACE, {**POD, "metadata": {"uid": "p1"}}, f"does not carry the label {CLUSTER_LABEL}"),
        (replace(ASSIGNMENT, cluster=""), NAMESPACE, {**POD, "metadata": {"uid": "p1"}}, "does not carry the label"),
        (ASSIGNMENT, NAMESPACE, EXPORTER, f"pod pg-0 carries {PART_LABEL}=exporter: it only exports metrics"),
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
