"""Pods of every zone reach each other, also after nodes came back with other addresses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from caplab_cluster.kind_cluster import CONTROL_PLANE, NETWORK, WORKERS, ZONES
from support.kind.foreign_containers import start_foreign_container
from support.kind.kind_lab import Lab, in_namespace, service, toolbox_pod, wait_until

pytestmark = pytest.mark.alone

SQUATTERS_MAX = 3


@pytest.fixture
def pods(lab: Lab, namespace: str) -> str:
    """A pod and a Service a zone; the namespace they are in."""
    objects = [build for zone in ZONES for build in (toolbox_pod(lab, zone), service(zone))]
    lab.apply(*in_namespace(namespace, *objects))
    lab.kubectl("wait", "-n", namespace, "--for=condition=Ready", "--timeout=90s", "pod", "--all")
    return namespace


def routes(lab: Lab, namespace: str) -> dict[str, str]:
    """Every URL to be tried from every zone, and the pod that has to answer: by pod address,
    Service address and Service name.
    """
    pods = {item["metadata"]["name"][-1]: item for item in lab.get("pod", "-n", namespace)["items"]}
    services = {item["metadata"]["name"][-1]: item for item in lab.get("service", "-n", namespace)["items"]}
    urls = {}
    for zone in ZONES:
        for host in (
            f"{pods[zone]['status']['podIP']}:8080",
            services[zone]["spec"]["clusterIP"],
            f"svc-{zone}.{namespace}.svc.cluster.local",
        ):
            urls[f"http://{host}/name"] = f"pod-{zone}"
    return urls


def fails(lab: Lab, namespace: str) -> list[str]:
    """The ways that do not work; each has to end at the right pod."""
    expected = routes(lab, namespace)
    assert len(expected) == 9
    script = "; ".join(f"echo {url} $(curl -sS --max-time 3 {url} 2>&1)" for url in expected)
    failures = []
    for source in ZONES:
        answer = lab.inside(namespace, f"pod-{source}", "sh", "-c", script)
        answers = dict(line.split(" ", 1) for line in answer.out.splitlines() if " " in line)
        failures += [
            f"{source} -> {pod} by {url}: {answers.get(url, answer.err)}"
            for url, pod in expected.items()
            if answers.get(url) != pod
        ]
    return failures


def await_every_route(lab: Lab, namespace: str, within_seconds: float) -> float:
    """Wait until every way works; seconds it took. Not at once where pods have just become Ready:
    until each node's kube-proxy has heard so, their Services refuse.
    """
    failing: list[str] = []

    def works() -> bool:
        failing[:] = fails(lab, namespace)
        return not failing

    try:
        return wait_until("every route works", works, within_seconds)
    except AssertionError as late:
        raise AssertionError(f"{late}; failing:\n" + "\n".join(failing)) from late


def test_four_nodes_are_ready_in_three_zones(lab: Lab) -> None:
    nodes = {item["metadata"]["name"]: item for item in lab.get("nodes")["items"]}
    assert sorted(nodes) == sorted([CONTROL_PLANE, *WORKERS])
    for worker, zone in zip(WORKERS, ZONES, strict=True):
        assert nodes[worker]["metadata"]["labels"]["topology.kubernetes.io/zone"] == zone
    for node in nodes.values():
        assert {"type": "Ready", "status": "True"}.items() <= node["status"]["conditions"][-1].items()


def test_every_zone_reaches_every_other_by_address_service_and_name(lab: Lab, pods: str) -> None:
    await_every_route(lab, pods, 10)


@pytest.fixture
def squatters(lab: Lab) -> Iterator[list[str]]:
    """Containers that take addresses on the cluster's network while nodes are stopped."""
    names: list[str] = []
    yield names
    lab.engine.remove(names)


@pytest.mark.parametrize("node", [pytest.param(WORKERS[1], marks=pytest.mark.long), CONTROL_PLANE])
def test_a_restarted_node_with_another_address_comes_back_ready(
    lab: Lab, pods: str, squatters: list[str], node: str
) -> None:
    before = lab.engine.addresses(node)[0]
    lab.engine.must("stop", "-t", "10", node)
    # Docker hands out the lowest free address again: somebody else takes it first.
    for _ in range(SQUATTERS_MAX):
        squatters.append(start_foreign_container(lab, "--network", NETWORK))
        if lab.engine.addresses(squatters[-1]) == [before]:
            break
    lab.engine.must("start", node)
    after = lab.engine.addresses(node)[0]
    assert after != before, "the test did not manage to change the address"

    wait_until("every node Ready", lambda: lab.cluster.problems() == [], 120)
    wait_until(
        "the node's object tells the new address",
        lambda: after in str(lab.get("node", node)["status"]["addresses"]),
    )
    lab.kubectl("wait", "-n", pods, "--for=condition=Ready", "--timeout=120s", "pod", "--all")
    seconds = await_every_route(lab, pods, 120)
    print(f"{node}: {before} -> {after}, routes {seconds:.1f} s after the pods were Ready")
