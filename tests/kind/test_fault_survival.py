"""Faults outlive nobody: not the pod that they hit, the agent, the operator, or the namespace's permission.

On echo pods, as in test_fault_conformance.py.
"""

from __future__ import annotations

import time

import pytest
from caplab_cluster.chart import NAMESPACE
from support.kind.echo_pods import PORT, EchoPods
from support.kind.fault_objects import await_phase, fault_on, fault_status, target_of
from support.kind.kind_lab import caplab, wait_until
from support.kind.lab_state import held_by_faults, left_by_faults

from caplab.contract.names import CHAOS_LABEL

pytestmark = [pytest.mark.alone, pytest.mark.usefixtures("nothing_left")]
AGENT, OPERATOR = "app.kubernetes.io/name=caplab-agent", "app.kubernetes.io/name=caplab-operator"


def test_a_pod_that_takes_the_place_of_one_under_a_fault_is_caught_within_a_second_of_its_first_word(
    echo_pods: EchoPods,
) -> None:
    a, b, c = (echo_pods.in_zone(zone) for zone in "abc")
    echo_pods.inject("cut", "a", 12, partition={"from": "clients"})
    echo_pods.inject("freeze", "b", 12, freeze={})
    echo_pods.inject("kill", "c", 12, kill={})
    faults = {"cut": a, "freeze": b, "kill": c}
    client = echo_pods.start_client("client-b", {"cut": ("new", echo_pods.service(a), PORT)})
    old = {name: echo_pods.pods()[name]["metadata"]["uid"] for name in (a, b, c)}
    for name in (a, b, c):
        echo_pods.replace(name)

    def caught(fault: str, pod: str) -> bool:
        entry = target_of(fault_status(echo_pods.lab, echo_pods.namespace, fault), pod)
        return (entry.get("state"), entry.get("replaces")) == ("Active", old[pod])

    wait_until("all three are caught again", lambda: all(caught(*each) for each in faults.items()), 10)
    cut = echo_pods.span_of("cut", a)
    print(f"cut {(cut.begin_ns - echo_pods.began(a)) / 1e9:.3f} s after its process began")
    assert cut.begin_ns - echo_pods.began(a) < 1e9
    log = client.end()["cut"]
    tries = [
        (round((begin - cut.begin_ns) / 1e9, 3), round((cut.end_ns - end) / 1e9, 3), made)
        for begin, end, made in log.fresh
    ]
    print("opened, seconds after its begin and before its end:", tries)
    assert log.opened(cut) == {False}
    for fault, pod in (("freeze", b), ("kill", c)):
        span = echo_pods.span_of(fault, pod)
        wait_until(f"{pod} goes on", lambda pod=pod: echo_pods.ready(pod))  # type: ignore[misc]
        late = (span.begin_ns - echo_pods.began(pod)) / 1e9
        print(f"{fault} {late:.3f} s after its process began")  # mostly before: then it is the one after the heal
        assert late < 1, fault


def test_caplab_heal_ends_everything_at_once_with_no_operator_running(echo_pods: EchoPods) -> None:
    lab = echo_pods.lab
    echo_pods.inject("cut", "a", 600, partition={"from": "clients"})
    echo_pods.inject("freeze", "b", 600, freeze={})
    echo_pods.inject("kill", "c", 600, kill={})
    seen = {line.split()[1] for line in [*left_by_faults(lab), *held_by_faults(lab)]}
    assert seen == {"gate", "journal", "rules", "cut", "frozen", "timer"}, (
        "what the other tests here look for is not seen"
    )
    lab.kubectl("scale", "deployment", "-n", NAMESPACE, "caplab-operator", "--replicas=0")
    try:
        wait_until("no operator", lambda: not lab.get("pods", "-n", NAMESPACE, "-l", OPERATOR)["items"], 30)
        listed = caplab("faults")
        assert all(
            f"{echo_pods.namespace}/{name}" in listed.out or name in listed.out for name in ("cut", "freeze", "kill")
        )
        began = time.monotonic()
        healed = caplab("heal")
        print(f"\n{listed.out}\n{healed.out}\nhealed within {time.monotonic() - began:.1f} s")
        assert healed.code == 0, healed
        assert lab.get("faults", "-n", echo_pods.namespace)["items"] == []
    finally:
        lab.kubectl("scale", "deployment", "-n", NAMESPACE, "caplab-operator", "--replicas=1")
    lab.kubectl("rollout", "status", "deployment", "-n", NAMESPACE, "caplab-operator", "--timeout=60s")
    wait_until("all three are Ready", lambda: all(echo_pods.ready(echo_pods.in_zone(zone)) for zone in "abc"))


@pytest.mark.parametrize("victim", [AGENT, OPERATOR])
def test_whoever_dies_in_the_midst_of_faults_they_end_in_time(echo_pods: EchoPods, victim: str) -> None:
    lab, kinds = echo_pods.lab, {"kill": {}, "freeze": {}, "partition": {"from": "clients"}}
    for zone, (kind, how) in zip("abc", kinds.items(), strict=True):
        echo_pods.inject(kind, zone, 8, **{kind: how})
    began = time.monotonic()
    lab.kubectl("delete", "pod", "-n", NAMESPACE, "-l", victim, "--grace-period=0", "--force", "--wait=false")
    wait_until("nothing is held", lambda: held_by_faults(lab) == [], 15)
    print(f"\nended {time.monotonic() - began:.1f} s after the death of {victim}")
    assert time.monotonic() - began < 8 + 2
    for kind in kinds:
        await_phase(lab, echo_pods.namespace, kind, "Healed", within_seconds=20)
    wait_until("all three are Ready", lambda: all(echo_pods.ready(echo_pods.in_zone(zone)) for zone in "abc"))


def test_a_namespace_that_was_closed_since_is_spared_by_the_agent(echo_pods: EchoPods) -> None:
    """The policy sees a fault's creation only; the agent looks again before it acts."""
    lab, namespace = echo_pods.lab, echo_pods.namespace
    lab.kubectl("scale", "deployment", "-n", NAMESPACE, "caplab-operator", "--replicas=0")
    try:
        wait_until("no operator", lambda: not lab.get("pods", "-n", NAMESPACE, "-l", OPERATOR)["items"], 30)
        lab.apply(fault_on(namespace, "late", {"zone": "a"}, 60, kill={}))
        lab.kubectl("label", "namespace", namespace, f"{CHAOS_LABEL}-")
    finally:
        lab.kubectl("scale", "deployment", "-n", NAMESPACE, "caplab-operator", "--replicas=1")
    restarts = echo_pods.restarts()
    status = await_phase(lab, namespace, "late", "Failed", within_seconds=30)
    lab.kubectl("label", "namespace", namespace, f"{CHAOS_LABEL}=allowed")
    assert f"{CHAOS_LABEL}=allowed" in status["targets"][0]["problem"]
    assert echo_pods.restarts() == restarts
