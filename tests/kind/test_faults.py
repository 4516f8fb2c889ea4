"""A fault on a real database: refused where it must be, live, proven, bounded, and gone at its end."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from caplab_cluster.chart import NAMESPACE
from caplab_cluster.shell import CommandResult
from support.kind.fault_objects import fault, fault_status, phase_is
from support.kind.kind_lab import Lab, wait_until
from support.kind.lab_state import left_by_faults
from support.kind.redis_cluster import KIND, await_ready, await_status, redis, status
from support.kind.scraped_metrics import of_agents, of_operator

from caplab.contract.names import CHAOS_LABEL

pytestmark = pytest.mark.paired

FAULT_METRICS = ("caplab_fault_active", "caplab_fault_overdue_seconds")
DOWN_SECONDS = 12  # the Sentinels promote another within two or three


def processes(lab: Lab, namespace: str, pod: str) -> str:
    """What runs in a member, one name a line; '' while there is no container to ask."""
    answer = lab.inside(namespace, pod, "sh", "-c", "cat /proc/[0-9]*/comm")
    return answer.out if answer.ok else ""


@pytest.fixture
def open_namespace(lab: Lab, namespace: str) -> Iterator[str]:
    """A namespace open to faults; what is left in it afterwards has ended."""
    lab.kubectl("label", "namespace", namespace, f"{CHAOS_LABEL}=allowed")
    yield namespace
    lab.kubectl("delete", "faults", "--all", "-n", namespace, "--wait=true")


@pytest.fixture
def primary(lab: Lab, open_namespace: str) -> str:
    lab.apply(redis(open_namespace))
    return str(await_ready(lab, open_namespace)["primary"])


def try_fault(lab: Lab, namespace: str, **fields: Any) -> CommandResult:
    return lab.try_apply(fault(namespace, **fields))


def test_a_fault_in_a_namespace_that_is_not_open_to_faults_is_refused(lab: Lab, namespace: str) -> None:
    answer = try_fault(lab, namespace)
    assert not answer.ok
    assert f"kubectl label namespace {namespace} {CHAOS_LABEL}=allowed" in answer.err
    protected = try_fault(lab, NAMESPACE)
    assert not protected.ok
    assert "protected" in protected.err or "not open" in protected.err


def test_a_fault_without_a_duration_or_a_kind_of_fault_is_refused_by_field(lab: Lab, open_namespace: str) -> None:
    without = try_fault(lab, open_namespace, seconds=None)
    assert not without.ok
    assert "durationSeconds is missing: say after how many seconds" in without.err
    body = fault(open_namespace)
    del body["spec"]["kill"]
    nothing = lab.try_apply(body)
    assert not nothing.ok
    assert "no fault is named" in nothing.err
    negative = try_fault(lab, open_namespace, seconds=-1)
    assert "spec.durationSeconds" in negative.err


def test_a_fault_on_nobody_fails_with_the_hint(lab: Lab, open_namespace: str) -> None:
    lab.apply(fault(open_namespace))
    wait_until("it failed", lambda: phase_is(lab, open_namespace, "Failed"), 10)
    assert "Hint:" in fault_status(lab, open_namespace)["message"]
    lab.kubectl("delete", "fault", "-n", open_namespace, "f", "--timeout=10s")


def test_a_killed_primary_stays_down_until_the_time_is_over(lab: Lab, open_namespace: str, primary: str) -> None:
    uid = lab.get("pod", "-n", open_namespace, primary)["metadata"]["uid"]
    kill = partial(fault, open_namespace, kind=KIND, cluster="rd")
    epoch = status(lab, open_namespace)["epoch"]
    lab.apply(kill(seconds=DOWN_SECONDS))
    wait_until("it is live", lambda: phase_is(lab, open_namespace, "Active"), 5)
    (target,) = fault_status(lab, open_namespace)["targets"]
    assert (target["uid"], target["pod"], target["proven"]) == (uid, primary, True)
    assert any("empty" in line for line in target["evidence"]), target["evidence"]
    samples = of_operator(lab)
    assert [samples[name, "rd", open_namespace, "redis", "kill"] for name in FAULT_METRICS] == [1, 0]
    assert samples["caplab_cluster_members_desired", "rd", open_namespace, "redis"] == 3
    assert of_agents(lab)["caplab_agent_faults_active", "kill", target["node"]] == 1
    await_status(lab, open_namespace, "another primary", lambda status: status.get("primary") not in (None, primary))
    assert phase_is(lab, open_namespace, "Active")
    samples = of_operator(lab)
    member = ("rd", open_namespace, "redis", primary, target["zone"])
    assert [samples[name, *member] for name in ("caplab_member_up", "caplab_member_primary")] == [0, 0]
    # Its container is started anew, and waits at the gate: the process is there, and no server.
    wait_until("it waits at the gate", lambda: processes(lab, open_namespace, primary) != "", 10)
    assert "redis-server" not in processes(lab, open_namespace, primary).split()
    changed = lab.try_apply(kill(seconds=30))
    assert not changed.ok
    assert "delete the Fault, which heals it" in changed.err

    wait_until("it healed", lambda: phase_is(lab, open_namespace, "Healed"), 15)
    (target,) = fault_status(lab, open_namespace)["targets"]
    held = (target["healedNs"] - target["injectedNs"]) / 1e9
    print(f"\nheld {held:.3f} s: {target['evidence']}")
    assert DOWN_SECONDS - 0.5 < held < DOWN_SECONDS + 2
    assert target["proven"]
    assert of_operator(lab)["caplab_fault_active", "rd", open_namespace, "redis", "kill"] == 0
    assert of_agents(lab)["caplab_agent_faults_active", "kill", target["node"]] == 0
    rd_status = await_ready(lab, open_namespace)
    assert (rd_status["lastFailover"]["from"], rd_status["lastFailover"]["cause"]) == (primary, "fault f")
    assert rd_status["epoch"] != epoch
    lab.kubectl("delete", "fault", "-n", open_namespace, "f", "--timeout=10s")
    assert left_by_faults(lab) == []
