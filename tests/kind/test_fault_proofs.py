"""Faults again and again: how soon they are live, that hundreds leave nothing, and that they end whoever dies.

On echo pods (tests/support/kind/echo_pods.py), and a RedisCluster where a role is meant. Only in `make prove`.
"""

from __future__ import annotations

import datetime
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from caplab_cluster.chart import NAMESPACE
from caplab_cluster.kind_cluster import CONTROL_PLANE, WORKERS, ZONES
from chaoscaplab.server import Server
from support.kind.cluster_object import ClusterObject
from support.kind.echo_pods import CLUSTER, KIND, PORT, EchoPods, make_echo_pods
from support.kind.kind_lab import Lab, wait_until
from support.kind.lab_state import left_by_faults
from support.kind.outside_client import OutsideClient

from caplab.contract.names import API_VERSION, CHAOS_LABEL, FAULT
from caplab.kube.context import connect
from caplab.kube.paths import path_of
from caplab.run_context import current_run

pytestmark = [pytest.mark.alone, pytest.mark.long]
MEDIAN_SECONDS, LONGEST_SECONDS = 0.15, 0.5
# Fewer while a proof is being worked on: SHARE=10 is a tenth.
SHARE = int(os.environ.get("SHARE", "1"))
INJECTIONS, RANDOM_FAULTS, DEATHS = 50 // SHARE, 200 // SHARE, 20 // SHARE
LATE_SECONDS = 2.0
ECHO_PODS = {"kind": KIND, "name": CLUSTER}


@pytest.fixture(scope="module")
def echo_pods(lab: Lab) -> Iterator[EchoPods]:
    os.environ["KUBECONFIG"] = str(lab.cache.kubeconfig)
    name = f"fault-proofs-{uuid.uuid4().hex[:6]}"
    lab.kubectl("create", "namespace", name)
    lab.kubectl("label", "namespace", name, f"{CHAOS_LABEL}=allowed")
    ClusterObject(lab=lab, kind="RedisCluster", namespace=name, name="rd").apply()
    made = make_echo_pods(lab, name)
    ClusterObject(lab=lab, kind="RedisCluster", namespace=name, name="rd").await_ready(3)
    yield made
    lab.kubectl("delete", "faults", "--all", "-n", name, "--wait=true", "--timeout=60s")
    lab.kubectl("delete", "namespace", name, "--wait=false")


class FaultWatcher:
    """Every Fault of a namespace as last seen, also when it is gone."""

    def __init__(self, namespace: str) -> None:
        self.server, self.namespace = Server(current_run()), namespace
        self.last: dict[str, dict[str, Any]] = {}
        self.gone: set[str] = set()
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        client, path = connect(), path_of(API_VERSION, FAULT, self.namespace)
        while True:
            try:
                listed = client.call("GET", path)
                self.last |= {body["metadata"]["name"]: body for body in listed["items"]}
                for event in client.events(path, listed["metadata"]["resourceVersion"], 60):
                    name = event["object"]["metadata"]["name"]
                    self.last[name] = event["object"]
                    if event["type"] == "DELETED":
                        self.gone.add(name)
            except Exception:  # the API server is down, as it was told to be
                time.sleep(0.2)

    def create(self, name: str, spec: dict[str, Any]) -> int:
        """Make a Fault; CLOCK_MONOTONIC ns of right before."""
        began = time.monotonic_ns()
        self.server.create("Fault", self.namespace, name, spec)
        return began

    def delete(self, name: str) -> int:
        """Heal a Fault; CLOCK_MONOTONIC ns of right before."""
        fault = self.server.get("Fault", self.namespace, name)
        began = time.monotonic_ns()
        if fault is not None:
            self.server.remove("Fault", fault)
        return began

    def status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.last.get(name, {}).get("status") or {}
        return status

    def targets(self, name: str) -> list[dict[str, Any]]:
        return [entry for entry in self.status(name).get("targets", []) if entry.get("end", "target") == "target"]

    def effective(self, name: str) -> bool:
        return bool(self.targets(name)) and all("effectiveNs" in entry for entry in self.targets(name))


@pytest.fixture(scope="module")
def faults(echo_pods: EchoPods) -> FaultWatcher:
    return FaultWatcher(echo_pods.namespace)


def summary(what: str, seconds: list[float]) -> str:
    milliseconds = [round(1000 * second) for second in (min(seconds), statistics.median(seconds), max(seconds))]
    return f"{what}: {' / '.join(map(str, milliseconds))} ms of {len(seconds)}"


def soon(seconds: list[float]) -> bool:
    return statistics.median(seconds) <= MEDIAN_SECONDS and max(seconds) <= LONGEST_SECONDS


def echo_pod_is_back(echo_pods: EchoPods, pod: str) -> None:
    """A killed echo pod, made anew: kubelet waits longer each time before it starts the same one again."""
    echo_pods.lab.kubectl("delete", "pod", "-n", echo_pods.namespace, pod, "--grace-period=0", "--force")
    wait_until(f"{pod} is back", lambda: pod in echo_pods.pods() and echo_pods.ready(pod), 60)


KINDS: dict[str, dict[str, Any]] = {
    "kill": {"kill": {}},
    "freeze": {"freeze": {}},
    "partition": {"partition": {"from": "clients"}},
    "group": {"partition": {"from": "group"}},
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_fault_is_live_and_over_within_a_moment(echo_pods: EchoPods, faults: FaultWatcher, kind: str) -> None:
    """From the object to its effect, and from its deletion to the heal, by the agents' stamps."""
    whom = {zone: echo_pods.in_zone(zone) for zone in ZONES}
    injections, heals = [], []
    for number in range(INJECTIONS):
        zone, name = ZONES[number % 3], f"{kind}-{number}"
        # What is to be dropped has to be sent: every 20 ms, from another zone.
        other = ZONES[(number + 1) % 3]
        echo_client = echo_pods.start_client(f"client-{other}", {"echo": ("tcp", echo_pods.address(whom[zone]), PORT)})
        began = faults.create(name, {"target": {**ECHO_PODS, "zone": zone}, "durationSeconds": 30, **KINDS[kind]})
        wait_until(f"{name} has its effect", lambda name=name: faults.effective(name), 5)  # type: ignore[misc]
        entry = next(target for target in faults.targets(name) if target["pod"] == whom[zone])
        injections.append((entry["effectiveNs"] - began) / 1e9)
        asked = faults.delete(name)
        wait_until(f"{name} is gone", lambda name=name: name in faults.gone, 10)  # type: ignore[misc]
        entry = next(target for target in faults.targets(name) if target["pod"] == whom[zone])
        assert entry["proven"], entry
        heals.append((entry["healedNs"] - asked) / 1e9)
        echo_client.end()
        if kind == "kill":
            echo_pod_is_back(echo_pods, whom[zone])
    print("\n" + summary(f"{kind}, object to effect, min / median / max", injections))
    print(summary(f"{kind}, deletion to heal, min / median / max", heals))
    assert soon(injections)
    assert soon(heals)


def test_a_role_is_resolved_and_cut_within_a_moment(echo_pods: EchoPods, faults: FaultWatcher) -> None:
    """The primary as the Sentinels name it; what it says to its replicas each second is what is dropped."""
    injections, heals = [], []
    target = {"kind": "RedisCluster", "name": "rd", "role": "primary"}
    for number in range(INJECTIONS):
        name = f"role-{number}"
        began = faults.create(name, {"target": target, "durationSeconds": 30, "partition": {"from": "clients"}})
        wait_until(f"{name} is live", lambda name=name: faults.status(name).get("phase") == "Active", 5)  # type: ignore[misc]
        (entry,) = faults.targets(name)
        injections.append((entry["injectedNs"] - began) / 1e9)
        asked = faults.delete(name)
        wait_until(f"{name} is gone", lambda name=name: name in faults.gone, 10)  # type: ignore[misc]
        heals.append((faults.targets(name)[0]["healedNs"] - asked) / 1e9)
    print("\n" + summary("a primary's cut, object to rules, min / median / max", injections))
    print(summary("a primary's cut, deletion to heal, min / median / max", heals))
    assert soon(injections)
    assert soon(heals)


def left(lab: Lab, echo_pods: EchoPods) -> dict[str, Any]:
    """Whatever faults may leave behind; {} where there is nothing."""
    leftovers = {
        "on nodes": left_by_faults(lab),
        "objects": [fault["metadata"]["name"] for fault in lab.get("faults", "-n", echo_pods.namespace)["items"]],
    }
    return {what: there for what, there in leftovers.items() if there}


def any_fault(chance: random.Random) -> dict[str, Any]:
    """One of all that may be asked for."""
    seconds = chance.randint(1, 4)
    role = {"kind": "RedisCluster", "name": "rd", "role": chance.choice(["primary", "replica", "any"])}
    member = {"kind": "RedisCluster", "name": "rd", "members": [f"rd-{chance.randrange(3)}"]}
    target = chance.choice(
        [role, member, {"zone": chance.choice(ZONES)}, {"node": chance.choice(WORKERS), "maxMembers": 2}]
    )
    if chance.random() < 0.25:
        # Echo pods only: kubelet waits longer for each kill of the same pod, and an echo pod is soon made anew.
        kill = {"signal": chance.choice(["SIGKILL", "SIGTERM", "SIGABRT"]), "keepDown": chance.random() < 0.7}
        target = {**ECHO_PODS, "zone": chance.choice(ZONES)}
        return {"target": target, "durationSeconds": seconds, "kill": kill}
    if chance.random() < 0.4:
        return {"target": target, "durationSeconds": seconds, "freeze": {}}
    cut = {"from": chance.choice(["peers", "controlPlane", "clients", "group"]),
           "direction": chance.choice(["both", "in", "out"])}  # fmt: skip
    if cut["from"] in ("controlPlane", "group"):
        cut["dns"] = chance.choice(["Keep", "Cut"])
    return {"target": target, "durationSeconds": seconds, "partition": cut}


def test_two_hundred_random_faults_leave_nothing(lab: Lab, echo_pods: EchoPods, faults: FaultWatcher) -> None:
    """Up to three at a time, some healed early, and pods that are replaced in their midst."""
    chance, live, phases = random.Random(1), [], []
    for number in range(RANDOM_FAULTS):
        name = f"random-{number}"
        faults.create(name, any_fault(chance))
        live.append(name)
        if number % 20 == 19:
            lab.kubectl(
                "delete",
                "pod",
                "-n",
                echo_pods.namespace,
                echo_pods.in_zone(chance.choice(ZONES)),
                "--force",
                "--grace-period=0",
            )
        while len(live) >= 3:
            oldest = live[0]
            if chance.random() < 0.3:
                faults.delete(oldest)
                wait_until(f"{oldest} is gone", lambda oldest=oldest: oldest in faults.gone, 20)  # type: ignore[misc]
            else:
                wait_until(
                    f"{oldest} has ended",
                    lambda oldest=oldest: faults.status(oldest).get("phase") in ("Healed", "Failed"),  # type: ignore[misc]
                    20,
                )
            phases.append(faults.status(oldest).get("phase", "deleted before it was resolved"))
            live.remove(oldest)
    for name in live:
        wait_until(f"{name} has ended", lambda name=name: faults.status(name).get("phase") in ("Healed", "Failed"), 20)  # type: ignore[misc]
        phases.append(faults.status(name)["phase"])
    problems = sorted(
        {
            str(entry.get("problem") or "")
            for name in faults.last
            if name.startswith("random-")
            for entry in [faults.status(name), *faults.status(name).get("targets", [])]
        }
        - {""}
    )
    print(f"\n{len(phases)} random faults: { {phase: phases.count(phase) for phase in sorted(set(phases))} }")
    print(*problems, sep="\n")
    lab.kubectl("delete", "faults", "--all", "-n", echo_pods.namespace, "--timeout=60s")
    assert left(lab, echo_pods) == {}
    for zone in ZONES:
        echo_pod_is_back(echo_pods, echo_pods.in_zone(zone))
    ClusterObject(lab=lab, kind="RedisCluster", namespace=echo_pods.namespace, name="rd").await_ready(3)
    assert phases.count("Failed") < len(phases) / 4


def kill_agents(lab: Lab) -> None:
    for node in WORKERS:
        lab.engine.ask("exec", node, "pkill", "-KILL", "-f", "caplab_agent")


def delete_agents(lab: Lab) -> None:
    lab.kubectl(
        "delete", "pod", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=caplab-agent", "--force", "--wait=false"
    )


def delete_operator(lab: Lab) -> None:
    lab.kubectl(
        "delete", "pod", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=caplab-operator", "--force", "--wait=false"
    )


def api_server_down(lab: Lab) -> None:
    def again() -> None:
        time.sleep(30)
        lab.engine.ask("exec", CONTROL_PLANE, "pkill", "-CONT", "kube-apiserver")

    lab.engine.must("exec", CONTROL_PLANE, "pkill", "-STOP", "kube-apiserver")
    threading.Thread(target=again).start()


RUNNER = """
import sys, time
from chaoscaplab.faults.actions import freeze, kill, partition
seconds = int(sys.argv[2])
for act, zone, more in ((kill, "a", {}), (freeze, "b", {}), (partition, "c", {"cut_from": "clients"})):
    act(zone=zone, seconds=seconds, namespace=sys.argv[1], kind="PostgresCluster", cluster="echo", **more)
print("live", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("victim", ["agent-killed", "agent-deleted", "operator", "api-server", "runner"])
def test_whoever_dies_a_fault_ends_in_time(lab: Lab, echo_pods: EchoPods, faults: FaultWatcher, victim: str) -> None:
    """A kill, a freeze and a cut at once; the end is what a client sees, with no API server between."""
    deaths: dict[str, Callable[[Lab], None]] = {
        "agent-killed": kill_agents, "agent-deleted": delete_agents, "operator": delete_operator,
        "api-server": api_server_down,
    }  # fmt: skip
    rounds = DEATHS // 2 if victim.startswith("agent") else DEATHS
    chance, late = random.Random(2), []
    for number in range(rounds):
        late += one_death(lab, echo_pods, faults, f"{victim}-{number}", deaths.get(victim), chance)
    print("\n" + summary(f"{victim}: heard again after the time was over, min / median / max", late))
    assert max(late) <= LATE_SECONDS
    lab.kubectl("delete", "faults", "--all", "-n", echo_pods.namespace, "--timeout=60s")
    wait_until("nothing is left", lambda: left(lab, echo_pods) == {}, 30)


def one_death(
    lab: Lab,
    echo_pods: EchoPods,
    faults: FaultWatcher,
    name: str,
    dies: Callable[[Lab], None] | None,
    chance: random.Random,
) -> list[float]:
    """For each of three faults, how many seconds after its time was over the echo pod answered again."""
    whom = {what: echo_pods.in_zone(zone) for what, zone in (("kill", "a"), ("freeze", "b"), ("partition", "c"))}
    seconds = chance.randint(3, 8)
    outside_client = OutsideClient(echo_pods, "client-b", {what: echo_pods.address(pod) for what, pod in whom.items()})
    try:
        wait_until("all are heard", lambda: all(outside_client.answers(what) for what in whom))
        began = time.time()
        if dies is None:
            run_and_kill(echo_pods, seconds)
        else:
            for what, zone in (("kill", "a"), ("freeze", "b"), ("partition", "c")):
                faults.create(f"{name}-{what}", {"target": {**ECHO_PODS, "zone": zone},
                                                 "durationSeconds": seconds, **KINDS[what]})  # fmt: skip
        wait_until("none is heard", lambda: all(outside_client.silent(what, began) for what in whom), 10)
        live = time.time()
        if dies is not None:
            time.sleep(chance.uniform(0, seconds - 1))
            dies(lab)
        heard = {what: outside_client.await_answer(what, live, seconds + 30) for what in whom}
    finally:
        outside_client.close()
    wait_until("the API server answers", lambda: lab.cluster.kubectl("get", "--raw", "/readyz").ok, 60)
    if dies is kill_agents:
        delete_agents(lab)  # kubelet waits longer each time before it starts the same one again
    wait_until("agents run", lambda: agents_run(lab), 120)
    over = {what: injected_at(faults.server, echo_pods, pod, began) + seconds for what, pod in whom.items()}
    echo_pod_is_back(echo_pods, whom["kill"])
    return [heard[what] - over[what] for what in whom]


def injected_at(server: Server, echo_pods: EchoPods, pod: str, since: float) -> float:
    """When the one fault on a pod since a moment was injected, by its agent's stamp: unix seconds."""
    stamps = [
        datetime.datetime.fromisoformat(entry["injectedAt"]).timestamp()
        for fault in server.list("Fault", echo_pods.namespace)
        for entry in (fault.get("status") or {}).get("targets", [])
        if entry["pod"] == pod and entry.get("end") == "target" and "injectedAt" in entry
    ]
    (stamp,) = [stamp for stamp in stamps if stamp > since - 0.01]
    return stamp


def run_and_kill(echo_pods: EchoPods, seconds: int) -> None:
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, echo_pods.namespace, str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert runner.stdout is not None
    assert runner.stdout.readline() == "live\n"
    runner.send_signal(signal.SIGKILL)
    runner.wait()


def agents_run(lab: Lab) -> bool:
    pods = lab.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name in (caplab-agent,caplab-operator)")["items"]
    return len(pods) == 4 and all(
        all(status["ready"] for status in pod["status"].get("containerStatuses", [{"ready": False}])) for pod in pods
    )
