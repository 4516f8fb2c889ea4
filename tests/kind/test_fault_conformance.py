"""Every kind of fault, seen from outside: what it cuts, stops or ends, what it leaves alone, and that it ends.

On boxes that pose as members (tests/boxes.py), so that nothing but the fault is between what is sent and what is heard.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from boxes import PORT, Boxes, Span, make_boxes
from caplab_cluster.chart import NAMESPACE
from caplab_cluster.kind_cluster import WORKERS, ZONES
from chaoscaplab.server import Server
from fault_objects import await_phase, fault_on, fault_status, target_of
from kind_lab import Lab, await_that, caplab
from lab_state import cuts, drop_rules, frozen_pods, gate_files, journals

AGENT, OPERATOR = "app.kubernetes.io/name=caplab-agent", "app.kubernetes.io/name=caplab-operator"


@pytest.fixture(scope="module")
def boxes(lab: Lab) -> Iterator[Boxes]:
    os.environ["KUBECONFIG"] = str(lab.cache.kubeconfig)
    name = f"fault-conformance-{uuid.uuid4().hex[:6]}"
    lab.kubectl("create", "namespace", name)
    lab.kubectl("label", "namespace", name, "caplab.dev/chaos=allowed")
    yield make_boxes(lab, name)
    lab.kubectl("delete", "faults", "--all", "-n", name, "--wait=true", "--timeout=30s")
    lab.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(autouse=True)
def nothing_left(lab: Lab, boxes: Boxes) -> Iterator[None]:
    yield
    lab.kubectl("delete", "faults", "--all", "-n", boxes.namespace, "--wait=true", "--timeout=30s")
    assert (drop_rules(lab), frozen_pods(lab), gate_files(lab), journals(lab)) == ([], [], [], [])


def inject(boxes: Boxes, name: str, zone: str, seconds: int, **what: Mapping[str, Any]) -> dict[str, Any]:
    """The status of a fault that is live on a zone's box."""
    boxes.lab.apply(fault_on(boxes.namespace, name, {"zone": zone}, seconds, **what))
    return await_phase(boxes.lab, boxes.namespace, name, "Active")


def span_of(boxes: Boxes, name: str, pod: str) -> Span:
    """How long a fault was live on a pod, once it has healed."""
    status = await_phase(boxes.lab, boxes.namespace, name, "Healed", within_seconds=30)
    entry = target_of(status, pod)
    # What is dropped where it comes from never gets to the target.
    assert any(one["proven"] for one in status["targets"] if one["pod"] == pod or one["end"] == "other"), status
    print(f"\n{name} on {pod}: {(entry['healedNs'] - entry['injectedNs']) / 1e9:.3f} s, {entry['evidence']}")
    return Span(entry["injectedNs"], entry["healedNs"])


def silent_from(boxes: Boxes, name: str, pod: str) -> int:
    """When a fault had its effect on a pod: nobody hears what ends by its own way at once."""
    return int(target_of(fault_status(boxes.lab, boxes.namespace, name), pod)["effectiveNs"])


def after(span: Span, seconds: float = 2.0) -> Span:
    return Span(span.end_ns + int(0.5e9), span.end_ns + int(seconds * 1e9))


def before(span: Span, seconds: float = 1.0) -> Span:
    return Span(span.begin_ns - int(seconds * 1e9), span.begin_ns)


def test_a_cut_is_complete_on_both_routes_and_two_of_them_on_one_pod_end_by_themselves(boxes: Boxes) -> None:
    """from peers, and from clients 3 s later: each takes just its own, the connections there are included."""
    a, b = boxes.in_zone("a"), boxes.in_zone("b")
    to_a = {"direct": ("tcp", boxes.address(a), PORT), "service": ("tcp", boxes.service(a), PORT)}
    peer, client = boxes.talk(b, to_a), boxes.talk("client-b", to_a)
    # What it says through a Service, only the far end sees by its address.
    itself = boxes.talk(
        a, {"service": ("tcp", boxes.service(b), PORT), "third": ("new", boxes.address("client-c"), PORT)}
    )
    inject(boxes, "peers", "a", 6, partition={"from": "peers"})
    await_that("3 s are over", lambda: seconds_live(boxes, "peers") > 3)
    inject(boxes, "clients", "a", 6, partition={"from": "clients"})
    peers, clients = span_of(boxes, "peers", a), span_of(boxes, "clients", a)
    over_ns = after(clients).end_ns
    heard = {"peer": peer.end(over_ns), "client": client.end(over_ns)}
    for who, span in (("peer", peers), ("client", clients)):
        for route, one in heard[who].items():
            assert one.in_(before(span)) > 20, (who, route)
            assert (one.in_(span.shrunk()), one.opened(span)) == (0, {False}), (who, route)
            assert True in one.opened(after(span)), (who, route)
    # The one is over, the other is not: nobody healed it with it.
    between = Span(peers.end_ns + int(0.7e9), clients.end_ns)
    assert heard["peer"]["direct"].opened(between) == {True}
    first = Span(peers.begin_ns, clients.begin_ns)
    assert heard["client"]["direct"].in_(first.shrunk()) > 20
    own = itself.end()
    assert own["service"].in_(peers.shrunk()) == 0
    assert own["third"].opened(first) == {True}


def seconds_live(boxes: Boxes, name: str) -> float:
    entries = fault_status(boxes.lab, boxes.namespace, name)["targets"]
    injected_ns: int = min(entry["injectedNs"] for entry in entries)
    return (time.monotonic_ns() - injected_ns) / 1e9


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_one_way_cut_passes_the_other_way(boxes: Boxes, direction: str) -> None:
    a, b = boxes.in_zone("a"), boxes.in_zone("b")
    address_a, address_b = boxes.address(a), boxes.address(b)
    talks = [boxes.talk(a, {"b": ("udp", address_b, PORT)}), boxes.talk(b, {"a": ("udp", address_a, PORT)})]
    inject(boxes, direction, "a", 3, partition={"from": "peers", "direction": direction})
    span = span_of(boxes, direction, a)
    for talk in talks:
        talk.end(after(span).end_ns)
    heard = {"by the target": [ns for sender, ns in boxes.datagrams(a) if sender == address_b],
             "by the other": [ns for sender, ns in boxes.datagrams(b) if sender == address_a]}  # fmt: skip
    under = {who: sum(span.shrunk().has(ns) for ns in times) for who, times in heard.items()}
    print(f"\ndirection {direction}: datagrams heard {under}")
    deaf = "by the target" if direction == "in" else "by the other"
    for who, times in heard.items():
        assert (under[who] == 0) == (who == deaf)
        for spared in (before(span), after(span)):
            assert sum(spared.has(ns) for ns in times) > 20, who


def test_a_group_is_cut_from_all_others_and_lives_on_inside(boxes: Boxes) -> None:
    a, b = boxes.in_zone("a"), boxes.in_zone("b")
    restarts = boxes.restarts()
    api = str(boxes.lab.get("service", "-n", "default", "kubernetes")["spec"]["clusterIP"])
    dns = str(boxes.lab.get("service", "-n", "kube-system", "kube-dns")["spec"]["clusterIP"])
    routes = {"api": ("new", api, 443), "dns": ("new", dns, 53), "b": ("tcp", boxes.service(b), PORT),
              "client of its own": ("new", boxes.address("client-a"), PORT)}  # fmt: skip
    inside = boxes.talk(a, routes)
    near, far = (boxes.talk(f"client-{zone}", {"a": ("tcp", boxes.service(a), PORT)}) for zone in "ab")
    inject(boxes, "group", "a", 5, partition={"from": "group", "dns": "Cut"})
    assert Server().fetch("a", "/metrics")  # the prober of the minority answers the lab
    assert boxes.ready(a)
    span = span_of(boxes, "group", a)
    heard = inside.end(after(span).end_ns)
    assert heard["api"].opened(span) == heard["dns"].opened(span) == {False}
    assert heard["client of its own"].opened(span) == {True}
    assert heard["b"].in_(span.shrunk()) == far.end()["a"].in_(span.shrunk()) == 0
    assert near.end()["a"].in_(span.shrunk()) > 100
    assert True in heard["api"].opened(after(span))
    # kubelet reaches it all the time: no probe makes a kill of the cut.
    assert (boxes.restarts(), boxes.ready(a)) == (restarts, True)


def test_a_cut_from_the_control_plane_takes_nothing_else(boxes: Boxes) -> None:
    a, b = boxes.in_zone("a"), boxes.in_zone("b")
    endpoints = boxes.lab.get("endpoints", "-n", "default", "kubernetes")["subsets"][0]
    api = str(boxes.lab.get("service", "-n", "default", "kubernetes")["spec"]["clusterIP"])
    dns = str(boxes.lab.get("service", "-n", "kube-system", "kube-dns")["spec"]["clusterIP"])
    routes = {"service": ("new", api, 443), "dns": ("new", dns, 53), "b": ("tcp", boxes.address(b), PORT),
              "endpoint": ("new", endpoints["addresses"][0]["ip"], endpoints["ports"][0]["port"])}  # fmt: skip
    talk = boxes.talk(a, routes)
    inject(boxes, "control-plane", "a", 3, partition={"from": "controlPlane"})
    span = span_of(boxes, "control-plane", a)
    heard = talk.end(after(span).end_ns)
    assert heard["service"].opened(span) == heard["endpoint"].opened(span) == {False}
    assert heard["dns"].opened(span) == {True}
    assert heard["b"].in_(span.shrunk()) > 50
    assert heard["service"].opened(after(span)) == {True}


def cpu_ns(lab: Lab, pod_uid: str) -> int:
    """CPU time that a pod has used, as its node's kernel counts it."""
    names = f"-path '*{pod_uid.replace('-', '_')}*' -o -path '*{pod_uid}*'"
    shell = f"cat $(find /sys/fs/cgroup/cpuacct /sys/fs/cgroup -maxdepth 6 \\( {names} \\) " \
            "\\( -name cpuacct.usage -o -name cpu.stat \\) 2>/dev/null | head -n 1)"  # fmt: skip
    for node in WORKERS:
        if said := lab.engine.ask("exec", node, "sh", "-c", shell).out.split():
            return int(said[0]) if said[0].isdigit() else int(said[said.index("usage_usec") + 1]) * 1000
    raise LookupError(pod_uid)


def test_a_frozen_member_takes_no_cpu_and_answers_nobody_until_the_last_freeze_of_it_ends(boxes: Boxes) -> None:
    a = boxes.in_zone("a")
    uid, restarts = boxes.pods()[a]["metadata"]["uid"], boxes.restarts()
    to_a = {"direct": ("tcp", boxes.address(a), PORT), "service": ("tcp", boxes.service(a), PORT)}
    talk = boxes.talk("client-b", to_a)
    inject(boxes, "first", "a", 4, freeze={})
    used = cpu_ns(boxes.lab, uid)
    inject(boxes, "second", "a", 5, freeze={})
    await_phase(boxes.lab, boxes.namespace, "first", "Healed", within_seconds=10)
    assert cpu_ns(boxes.lab, uid) == used
    first, second = span_of(boxes, "first", a), span_of(boxes, "second", a)
    whole = Span(first.begin_ns, second.end_ns)
    heard = talk.end(after(whole).end_ns)
    assert second.end_ns > first.end_ns
    for route, one in heard.items():
        assert one.in_(before(whole)) > 20, route
        assert one.in_(whole.shrunk()) == 0, route
        assert one.in_(after(whole)) > 20, route
    assert boxes.restarts() == restarts
    assert cpu_ns(boxes.lab, uid) > used


@pytest.mark.parametrize("signal", [pytest.param("SIGTERM", marks=pytest.mark.long), "SIGKILL"])
def test_a_killed_member_answers_nobody_until_heal_frozen_or_not(boxes: Boxes, signal: str) -> None:
    a = boxes.in_zone("a")
    talk = boxes.talk(
        "client-b", {"direct": ("new", boxes.address(a), PORT), "service": ("new", boxes.service(a), PORT)}
    )
    frozen = signal == "SIGKILL"
    if frozen:
        inject(boxes, "freeze", "a", 3, freeze={})
    inject(boxes, "kill", "a", 5, kill={"signal": signal})
    span = span_of(boxes, "kill", a)
    if frozen:
        span_of(boxes, "freeze", a)
    await_that("it is back", lambda: boxes.ready(a))
    down = Span(silent_from(boxes, "kill", a), span.end_ns)
    for route, one in talk.end().items():
        assert one.opened(down) == {False}, route


def test_a_pod_that_takes_the_place_of_one_under_a_fault_is_caught_within_a_second_of_its_first_word(
    boxes: Boxes,
) -> None:
    a, b, c = (boxes.in_zone(zone) for zone in "abc")
    inject(boxes, "cut", "a", 12, partition={"from": "clients"})
    inject(boxes, "freeze", "b", 12, freeze={})
    inject(boxes, "kill", "c", 12, kill={})
    faults = {"cut": a, "freeze": b, "kill": c}
    talk = boxes.talk("client-b", {"cut": ("new", boxes.service(a), PORT)})
    old = {name: boxes.pods()[name]["metadata"]["uid"] for name in (a, b, c)}
    for name in (a, b, c):
        boxes.replace(name)

    def caught(fault: str, pod: str) -> bool:
        entry = target_of(fault_status(boxes.lab, boxes.namespace, fault), pod)
        return (entry.get("state"), entry.get("replaces")) == ("Active", old[pod])

    await_that("all three are caught again", lambda: all(caught(*each) for each in faults.items()), 10)
    cut = span_of(boxes, "cut", a)
    print(f"cut {(cut.begin_ns - boxes.began(a)) / 1e9:.3f} s after its process began")
    assert cut.begin_ns - boxes.began(a) < 1e9
    heard = talk.end()["cut"]
    told = [
        (round((begin - cut.begin_ns) / 1e9, 3), round((cut.end_ns - end) / 1e9, 3), made)
        for begin, end, made in heard.fresh
    ]
    print("opened, seconds after its begin and before its end:", told)
    assert heard.opened(cut) == {False}
    for fault, pod in (("freeze", b), ("kill", c)):
        span = span_of(boxes, fault, pod)
        await_that(f"{pod} goes on", lambda pod=pod: boxes.ready(pod))  # type: ignore[misc]
        late = (span.begin_ns - boxes.began(pod)) / 1e9
        print(f"{fault} {late:.3f} s after its process began")  # mostly before: then it is the one after the heal
        assert late < 1, fault


def test_a_fault_on_more_members_than_it_may_hit_is_refused_with_the_number(boxes: Boxes) -> None:
    box, twin = ("statefulset/box", "-n", boxes.namespace), "box-3"
    boxes.lab.kubectl("scale", *box, "--replicas=4")
    try:
        await_that("there is a fourth", lambda: twin in boxes.pods() and boxes.ready(twin))
        node = boxes.pods()[twin]["spec"]["nodeName"]
        zone = next(zone for zone in ZONES if boxes.pods()[boxes.in_zone(zone)]["spec"]["nodeName"] == node)
        boxes.lab.apply(fault_on(boxes.namespace, "many", {"zone": zone}, 5, freeze={}))
        message = await_phase(boxes.lab, boxes.namespace, "many", "Failed")["message"]
        assert "maxMembers" in message
        boxes.lab.apply(fault_on(boxes.namespace, "enough", {"node": node, "maxMembers": 2}, 3, freeze={}))
        hit = await_phase(boxes.lab, boxes.namespace, "enough", "Active")["targets"]
        assert len(hit) == 2
    finally:
        boxes.lab.kubectl("delete", "faults", "--all", "-n", boxes.namespace, "--timeout=20s")
        boxes.lab.kubectl("scale", *box, "--replicas=3")


def test_caplab_heal_ends_everything_at_once_with_no_operator_running(boxes: Boxes) -> None:
    lab = boxes.lab
    inject(boxes, "cut", "a", 600, partition={"from": "clients"})
    inject(boxes, "freeze", "b", 600, freeze={})
    inject(boxes, "kill", "c", 600, kill={})
    lab.kubectl("scale", "deployment", "-n", NAMESPACE, "caplab-operator", "--replicas=0")
    try:
        await_that("no operator", lambda: not lab.get("pods", "-n", NAMESPACE, "-l", OPERATOR)["items"], 30)
        listed = caplab("faults")
        assert all(
            f"{boxes.namespace}/{name}" in listed.out or name in listed.out for name in ("cut", "freeze", "kill")
        )
        began = time.monotonic()
        healed = caplab("heal")
        print(f"\n{listed.out}\n{healed.out}\nhealed within {time.monotonic() - began:.1f} s")
        assert healed.code == 0, healed
        assert lab.get("faults", "-n", boxes.namespace)["items"] == []
    finally:
        lab.kubectl("scale", "deployment", "-n", NAMESPACE, "caplab-operator", "--replicas=1")
    lab.kubectl("rollout", "status", "deployment", "-n", NAMESPACE, "caplab-operator", "--timeout=60s")
    await_that("all three are Ready", lambda: all(boxes.ready(boxes.in_zone(zone)) for zone in "abc"))


@pytest.mark.parametrize("victim", [AGENT, OPERATOR])
def test_whoever_dies_in_the_midst_of_faults_they_end_in_time(boxes: Boxes, victim: str) -> None:
    lab, kinds = boxes.lab, {"kill": {}, "freeze": {}, "partition": {"from": "clients"}}
    for zone, (kind, how) in zip("abc", kinds.items(), strict=True):
        inject(boxes, kind, zone, 8, **{kind: how})
    began = time.monotonic()
    lab.kubectl("delete", "pod", "-n", NAMESPACE, "-l", victim, "--grace-period=0", "--force", "--wait=false")
    await_that("nothing is held", lambda: not held(lab), 15)
    print(f"\nended {time.monotonic() - began:.1f} s after the death of {victim}")
    assert time.monotonic() - began < 8 + 2
    for kind in kinds:
        await_phase(lab, boxes.namespace, kind, "Healed", within_seconds=20)
    await_that("all three are Ready", lambda: all(boxes.ready(boxes.in_zone(zone)) for zone in "abc"))


def held(lab: Lab) -> list[str]:
    """What is closed, frozen, or cut: rules whose addresses have run out by themselves cut nothing."""
    return [*gate_files(lab), *frozen_pods(lab), *cuts(lab)]


def test_a_namespace_that_was_closed_since_is_spared_by_the_agent(boxes: Boxes) -> None:
    """The policy sees a fault's creation only; the agent looks again before it acts."""
    lab, namespace = boxes.lab, boxes.namespace
    lab.kubectl("scale", "deployment", "-n", NAMESPACE, "caplab-operator", "--replicas=0")
    try:
        await_that("no operator", lambda: not lab.get("pods", "-n", NAMESPACE, "-l", OPERATOR)["items"], 30)
        lab.apply(fault_on(namespace, "late", {"zone": "a"}, 60, kill={}))
        lab.kubectl("label", "namespace", namespace, "caplab.dev/chaos-")
    finally:
        lab.kubectl("scale", "deployment", "-n", NAMESPACE, "caplab-operator", "--replicas=1")
    restarts = boxes.restarts()
    status = await_phase(lab, namespace, "late", "Failed", within_seconds=30)
    lab.kubectl("label", "namespace", namespace, "caplab.dev/chaos=allowed")
    assert "caplab.dev/chaos=allowed" in status["targets"][0]["problem"]
    assert boxes.restarts() == restarts
