"""Every kind of fault, seen from outside: what it cuts, stops or ends, what it leaves alone, and that it ends.

On echo pods that pose as members (support.kind.echo_pods): only the fault is between what is sent and what arrives.
"""

from __future__ import annotations

import time

import pytest
from caplab_cluster.kind_cluster import WORKERS, ZONES
from chaoscaplab.server import Server
from support.kind.echo_pods import PORT, EchoPods, Span
from support.kind.fault_objects import await_phase, fault_on, fault_status, target_of
from support.kind.kind_lab import Lab, wait_until

from caplab.run_context import current_run

pytestmark = [pytest.mark.beside, pytest.mark.usefixtures("nothing_left")]


def silent_from(echo_pods: EchoPods, name: str, pod: str) -> int:
    """When a fault had its effect on a pod: nobody hears what ends by its own way at once."""
    return int(target_of(fault_status(echo_pods.lab, echo_pods.namespace, name), pod)["effectiveNs"])


def after(span: Span, seconds: float = 2.0) -> Span:
    return Span(span.end_ns + int(0.5e9), span.end_ns + int(seconds * 1e9))


def before(span: Span, seconds: float = 1.0) -> Span:
    return Span(span.begin_ns - int(seconds * 1e9), span.begin_ns)


def test_a_cut_is_complete_on_both_routes_and_two_of_them_on_one_pod_end_by_themselves(echo_pods: EchoPods) -> None:
    """from peers, and from clients 3 s later: each takes just its own, the connections there are included."""
    a, b = echo_pods.in_zone("a"), echo_pods.in_zone("b")
    to_a = {"direct": ("tcp", echo_pods.address(a), PORT), "service": ("tcp", echo_pods.service(a), PORT)}
    peer, client = echo_pods.start_client(b, to_a), echo_pods.start_client("client-b", to_a)
    # What it says through a Service, only the far end sees by its address.
    itself = echo_pods.start_client(
        a, {"service": ("tcp", echo_pods.service(b), PORT), "third": ("new", echo_pods.address("client-c"), PORT)}
    )
    echo_pods.inject("peers", "a", 6, partition={"from": "peers"})
    wait_until("3 s are over", lambda: seconds_live(echo_pods, "peers") > 3)
    echo_pods.inject("clients", "a", 6, partition={"from": "clients"})
    peers, clients = echo_pods.span_of("peers", a), echo_pods.span_of("clients", a)
    over_ns = after(clients).end_ns
    logs = {"peer": peer.end(over_ns), "client": client.end(over_ns)}
    for who, span in (("peer", peers), ("client", clients)):
        for route, log in logs[who].items():
            assert log.replies_in(before(span)) > 20, (who, route)
            assert (log.replies_in(span.shrunk()), log.opened(span)) == (0, {False}), (who, route)
            assert True in log.opened(after(span)), (who, route)
    # The one is over, the other is not: nobody healed it with it.
    between = Span(peers.end_ns + int(0.7e9), clients.end_ns)
    assert logs["peer"]["direct"].opened(between) == {True}
    first = Span(peers.begin_ns, clients.begin_ns)
    assert logs["client"]["direct"].replies_in(first.shrunk()) > 20
    own = itself.end()
    assert own["service"].replies_in(peers.shrunk()) == 0
    assert own["third"].opened(first) == {True}


def seconds_live(echo_pods: EchoPods, name: str) -> float:
    entries = fault_status(echo_pods.lab, echo_pods.namespace, name)["targets"]
    injected_ns: int = min(entry["injectedNs"] for entry in entries)
    return (time.monotonic_ns() - injected_ns) / 1e9


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_one_way_cut_passes_the_other_way(echo_pods: EchoPods, direction: str) -> None:
    a, b = echo_pods.in_zone("a"), echo_pods.in_zone("b")
    address_a, address_b = echo_pods.address(a), echo_pods.address(b)
    clients = [
        echo_pods.start_client(a, {"b": ("udp", address_b, PORT)}),
        echo_pods.start_client(b, {"a": ("udp", address_a, PORT)}),
    ]
    echo_pods.inject(direction, "a", 3, partition={"from": "peers", "direction": direction})
    span = echo_pods.span_of(direction, a)
    for client in clients:
        client.end(after(span).end_ns)
    received = {"by the target": [ns for sender, ns in echo_pods.datagrams(a) if sender == address_b],
                "by the other": [ns for sender, ns in echo_pods.datagrams(b) if sender == address_a]}  # fmt: skip
    under = {who: sum(span.shrunk().has(ns) for ns in times) for who, times in received.items()}
    print(f"\ndirection {direction}: datagrams heard {under}")
    cut_off = "by the target" if direction == "in" else "by the other"
    for who, times in received.items():
        assert (under[who] == 0) == (who == cut_off)
        for uncut in (before(span), after(span)):
            assert sum(uncut.has(ns) for ns in times) > 20, who


def test_a_group_is_cut_from_all_others_and_lives_on_inside(echo_pods: EchoPods) -> None:
    a, b = echo_pods.in_zone("a"), echo_pods.in_zone("b")
    restarts = echo_pods.restarts()
    api = str(echo_pods.lab.get("service", "-n", "default", "kubernetes")["spec"]["clusterIP"])
    dns = str(echo_pods.lab.get("service", "-n", "kube-system", "kube-dns")["spec"]["clusterIP"])
    routes = {"api": ("new", api, 443), "dns": ("new", dns, 53), "b": ("tcp", echo_pods.service(b), PORT),
              "client of its own": ("new", echo_pods.address("client-a"), PORT)}  # fmt: skip
    inside = echo_pods.start_client(a, routes)
    near, far = (echo_pods.start_client(f"client-{zone}", {"a": ("tcp", echo_pods.service(a), PORT)}) for zone in "ab")
    echo_pods.inject("group", "a", 5, partition={"from": "group", "dns": "Cut"})
    assert Server(current_run()).fetch("a", "/metrics")  # the prober of the minority answers the lab
    assert echo_pods.ready(a)
    span = echo_pods.span_of("group", a)
    logs = inside.end(after(span).end_ns)
    assert logs["api"].opened(span) == logs["dns"].opened(span) == {False}
    assert logs["client of its own"].opened(span) == {True}
    assert logs["b"].replies_in(span.shrunk()) == far.end()["a"].replies_in(span.shrunk()) == 0
    assert near.end()["a"].replies_in(span.shrunk()) > 100
    assert True in logs["api"].opened(after(span))
    # kubelet reaches it all the time: no probe makes a kill of the cut.
    assert (echo_pods.restarts(), echo_pods.ready(a)) == (restarts, True)


def test_a_cut_from_the_control_plane_takes_nothing_else(echo_pods: EchoPods) -> None:
    a, b = echo_pods.in_zone("a"), echo_pods.in_zone("b")
    endpoints = echo_pods.lab.get("endpoints", "-n", "default", "kubernetes")["subsets"][0]
    api = str(echo_pods.lab.get("service", "-n", "default", "kubernetes")["spec"]["clusterIP"])
    dns = str(echo_pods.lab.get("service", "-n", "kube-system", "kube-dns")["spec"]["clusterIP"])
    routes = {"service": ("new", api, 443), "dns": ("new", dns, 53), "b": ("tcp", echo_pods.address(b), PORT),
              "endpoint": ("new", endpoints["addresses"][0]["ip"], endpoints["ports"][0]["port"])}  # fmt: skip
    client = echo_pods.start_client(a, routes)
    echo_pods.inject("control-plane", "a", 3, partition={"from": "controlPlane"})
    span = echo_pods.span_of("control-plane", a)
    logs = client.end(after(span).end_ns)
    assert logs["service"].opened(span) == logs["endpoint"].opened(span) == {False}
    assert logs["dns"].opened(span) == {True}
    assert logs["b"].replies_in(span.shrunk()) > 50
    assert logs["service"].opened(after(span)) == {True}


def cpu_ns(lab: Lab, pod_uid: str) -> int:
    """CPU time that a pod has used, as its node's kernel counts it."""
    names = f"-path '*{pod_uid.replace('-', '_')}*' -o -path '*{pod_uid}*'"
    shell = f"cat $(find /sys/fs/cgroup/cpuacct /sys/fs/cgroup -maxdepth 6 \\( {names} \\) " \
            "\\( -name cpuacct.usage -o -name cpu.stat \\) 2>/dev/null | head -n 1)"  # fmt: skip
    for node in WORKERS:
        if words := lab.engine.ask("exec", node, "sh", "-c", shell).out.split():
            return int(words[0]) if words[0].isdigit() else int(words[words.index("usage_usec") + 1]) * 1000
    raise LookupError(pod_uid)


def test_a_frozen_member_takes_no_cpu_and_answers_nobody_until_the_last_freeze_of_it_ends(echo_pods: EchoPods) -> None:
    a = echo_pods.in_zone("a")
    uid, restarts = echo_pods.pods()[a]["metadata"]["uid"], echo_pods.restarts()
    to_a = {"direct": ("tcp", echo_pods.address(a), PORT), "service": ("tcp", echo_pods.service(a), PORT)}
    client = echo_pods.start_client("client-b", to_a)
    echo_pods.inject("first", "a", 6, freeze={})
    used = cpu_ns(echo_pods.lab, uid)
    echo_pods.inject("second", "a", 6, freeze={})
    await_phase(echo_pods.lab, echo_pods.namespace, "first", "Healed", within_seconds=10)
    used_by_then = cpu_ns(echo_pods.lab, uid)
    first, second = echo_pods.span_of("first", a), echo_pods.span_of("second", a)
    assert second.begin_ns < first.end_ns, "the machine is too busy: the first ended before the second began"
    assert used_by_then == used
    whole = Span(first.begin_ns, second.end_ns)
    logs = client.end(after(whole).end_ns)
    assert second.end_ns > first.end_ns
    for route, log in logs.items():
        assert log.replies_in(before(whole)) > 20, route
        assert log.replies_in(whole.shrunk()) == 0, route
        assert log.replies_in(after(whole)) > 20, route
    assert echo_pods.restarts() == restarts
    assert cpu_ns(echo_pods.lab, uid) > used


@pytest.mark.parametrize("signal", [pytest.param("SIGTERM", marks=pytest.mark.long), "SIGKILL"])
def test_a_killed_member_answers_nobody_until_heal_frozen_or_not(echo_pods: EchoPods, signal: str) -> None:
    a = echo_pods.in_zone("a")
    client = echo_pods.start_client(
        "client-b", {"direct": ("new", echo_pods.address(a), PORT), "service": ("new", echo_pods.service(a), PORT)}
    )
    frozen = signal == "SIGKILL"
    if frozen:
        echo_pods.inject("freeze", "a", 3, freeze={})
    echo_pods.inject("kill", "a", 5, kill={"signal": signal})
    span = echo_pods.span_of("kill", a)
    if frozen:
        echo_pods.span_of("freeze", a)
    wait_until("it is back", lambda: echo_pods.ready(a))
    down = Span(silent_from(echo_pods, "kill", a), span.end_ns)
    for route, log in client.end().items():
        assert log.opened(down) == {False}, route


def test_a_fault_on_more_members_than_it_may_hit_is_refused_with_the_number(echo_pods: EchoPods) -> None:
    stateful_set, twin = ("statefulset/echo", "-n", echo_pods.namespace), "echo-3"
    echo_pods.lab.kubectl("scale", *stateful_set, "--replicas=4")
    try:
        wait_until("there is a fourth", lambda: twin in echo_pods.pods() and echo_pods.ready(twin))
        node = echo_pods.pods()[twin]["spec"]["nodeName"]
        zone = next(zone for zone in ZONES if echo_pods.pods()[echo_pods.in_zone(zone)]["spec"]["nodeName"] == node)
        echo_pods.lab.apply(fault_on(echo_pods.namespace, "many", {"zone": zone}, 5, freeze={}))
        message = await_phase(echo_pods.lab, echo_pods.namespace, "many", "Failed")["message"]
        assert "maxMembers" in message
        echo_pods.lab.apply(fault_on(echo_pods.namespace, "enough", {"node": node, "maxMembers": 2}, 3, freeze={}))
        hit = await_phase(echo_pods.lab, echo_pods.namespace, "enough", "Active")["targets"]
        assert len(hit) == 2
    finally:
        echo_pods.lab.kubectl("delete", "faults", "--all", "-n", echo_pods.namespace, "--timeout=20s")
        echo_pods.lab.kubectl("scale", *stateful_set, "--replicas=3")
