"""What of the API server's lists is the inventory of a fault, and how much is read for it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from caplab_operator.faults.inventory import CONTROL_PLANE, DNS, OUTSIDERS, Inventory
from caplab_operator.handlers.faults.pods import inventory_from
from caplab_operator.handlers.faults.reading import Reader
from caplab_operator.settings import LAB_NAMESPACE_VARIABLE
from support.objects.fake_server import FakeServer
from support.operator.fault_inventory import CLIENTS, PG, PROBERS, SENTINELS, ZONES, listed, pod

from caplab.contract.names import CLUSTER_LABEL, ENGINE_LABEL, VANTAGE_LABEL

NOTHING: frozenset[str] = frozenset()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LAB_NAMESPACE_VARIABLE, "lab")


def inventory_of(*bodies: Mapping[str, Any], lab: Sequence[Mapping[str, Any]] = ()) -> Inventory:
    return inventory_from(ZONES.__getitem__, bodies, lab)


def changed(body: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {**body, "status": {**body["status"], **status}}


def test_pods_are_members_and_sentinels_of_clusters_and_all_others_are_clients() -> None:
    labels = {CLUSTER_LABEL: "pg", ENGINE_LABEL: "postgres"}
    helper = listed(replace(CLIENTS[0], uid="h"), **labels)  # of a cluster, and no part of it that is known
    inventory = inventory_of(listed(PG[0]), listed(SENTINELS[1]), listed(CLIENTS[0]), helper)
    assert inventory.pods == (PG[0], SENTINELS[1])
    assert inventory.clients == (CLIENTS[0],)


def test_a_member_that_is_to_end_can_still_talk_and_one_that_is_over_cannot() -> None:
    ending = listed(PG[0])
    ending["metadata"]["deletionTimestamp"] = "now"
    assert inventory_of(ending).pods == (PG[0],)
    for phase in ("Succeeded", "Failed"):
        assert (
            inventory_of(changed(listed(PG[0]), phase=phase), changed(listed(CLIENTS[0]), phase=phase)) == Inventory()
        )


def test_a_pod_on_no_node_is_nobody_and_one_without_an_address_is_there() -> None:
    waiting = listed(PG[0])
    waiting["spec"] = {}
    starting = changed(listed(PG[1]), podIP=None, hostIP=None)
    assert inventory_of(waiting, starting).pods == (replace(PG[1], addresses=NOTHING, node_addresses=NOTHING),)
    assert inventory_of({**starting, "status": {}}).pods == inventory_of(starting).pods


def test_addresses_of_both_families_are_a_pods_own() -> None:
    both = changed(listed(PG[0]), podIPs=[{"ip": "10.0.0.10"}, {"ip": "fd00::10"}], hostIPs=[{"ip": "fd01::1"}])
    (pod,) = inventory_of(both).pods
    assert pod.addresses == {"10.0.0.10", "fd00::10"}
    assert pod.node_addresses == {"172.18.0.1", "fd01::1"}


def test_a_client_on_its_nodes_own_network_cannot_be_told_from_the_node() -> None:
    assert inventory_of(changed(listed(CLIENTS[0]), podIP="172.18.0.1")).clients == ()


def test_probers_have_the_zone_of_their_vantage_and_the_operator_is_an_address() -> None:
    prober = listed(PROBERS[2], **{"app.kubernetes.io/name": "caplab-prober", VANTAGE_LABEL: "b"})
    operator = listed(pod("operator", "a", 60, node="control-plane"), **{"app.kubernetes.io/name": "caplab-operator"})
    other = listed(pod("agent", "a", 61), **{"app.kubernetes.io/name": "caplab-agent"})
    inventory = inventory_of(lab=[prober, operator, other])
    assert inventory.probers == (replace(PROBERS[2], zone="b"),)
    assert inventory.operator == {"10.0.0.60"}


# --- how much is read -------------------------------------------------------------------------------------


class FakeApi:
    """Lists pods by namespace; says what it was asked. An answer comes when so many wait for one."""

    def __init__(self, at_once: int = 1) -> None:
        self.requests: list[str] = []
        self.pods: dict[str, list[dict[str, Any]]] = {"demo": [listed(PG[0]), listed(CLIENTS[0])], "lab": []}
        self.barrier = threading.Barrier(at_once, timeout=5)
        self.fails = False

    def pods_where(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        self.requests.append(f"pods {namespace} {selector}".strip())
        self.barrier.wait()
        return self.pods[namespace]

    def zone_of(self, node: str) -> str:
        return ZONES[node]

    def get(self, _version: str, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        self.requests.append(f"{kind} {namespace}/{name}")
        self.barrier.wait()
        if self.fails:
            raise OSError("no API server")
        if namespace != "default":
            return None
        if kind == "Service":
            return {"spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "None"]}}
        return {"subsets": [{"addresses": [{"ip": "172.18.0.9"}], "notReadyAddresses": [{"ip": "172.18.0.8"}]}]}


class Clock:
    """Seconds, as a test sets them."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def read(api: Any, *needs: str, reader: Reader | None = None) -> Inventory:
    return (reader or Reader(api)).begin("demo", frozenset(needs)).inventory()


def test_pods_of_clusters_are_all_that_a_fault_without_outsiders_reads() -> None:
    api = FakeApi()
    read(api)
    assert api.requests == [f"pods demo {CLUSTER_LABEL}"]


def test_with_outsiders_all_pods_are_listed_and_whom_the_lab_has() -> None:
    api = FakeApi()
    inventory = read(api, OUTSIDERS)
    assert (inventory.pods, inventory.clients) == ((PG[0],), (CLIENTS[0],))
    assert sorted(api.requests) == ["pods demo", "pods lab app.kubernetes.io/name in (caplab-prober,caplab-operator)"]


def test_the_control_plane_is_a_services_own_addresses_and_those_it_leads_to() -> None:
    api = FakeApi()
    inventory = read(api, CONTROL_PLANE, DNS)
    assert inventory.control_plane == {"10.96.0.1", "172.18.0.9"}
    assert inventory.dns == NOTHING  # there is no such Service
    assert sorted(api.requests)[:2] == ["Endpoints default/kubernetes", "Endpoints kube-system/kube-dns"]


def test_the_control_planes_addresses_are_used_again_for_a_while() -> None:
    api, clock = FakeApi(), Clock()
    reader = Reader(api, clock)  # type: ignore[arg-type]
    for seconds, count in ((0.0, 2), (1.9, 2), (0.2, 4)):
        clock.seconds += seconds
        assert read(api, CONTROL_PLANE, reader=reader).control_plane
        assert sum("default" in request for request in api.requests) == count


def test_what_could_not_be_read_is_read_again_at_once() -> None:
    api = FakeApi()
    reader = Reader(api)  # type: ignore[arg-type]
    api.fails = True
    with pytest.raises(OSError, match="no API server"):
        read(api, CONTROL_PLANE, reader=reader)
    api.fails = False
    assert read(api, CONTROL_PLANE, reader=reader).control_plane


def test_everything_is_read_at_the_same_time() -> None:
    api = FakeApi(at_once=6)
    inventory = read(api, OUTSIDERS, CONTROL_PLANE, DNS)
    assert len(api.requests) == 6
    assert inventory.control_plane == {"10.96.0.1", "172.18.0.9"}


def test_pods_are_read_by_the_selector_that_their_labels_make() -> None:
    server = FakeServer()
    for name, labels in (("pg-0", {"a": "1", "b": "2"}), ("pg-1", {"a": "1"})):
        server.put("Pod", name, metadata={"labels": labels})
    assert [pod["metadata"]["name"] for pod in server.pods("demo", {"a": "1", "b": "2"})] == ["pg-0"]
    assert len(server.pods_where("demo", "")) == 2


def test_only_pods_that_a_clusters_own_set_made_are_of_it_whatever_labels_others_carry() -> None:
    stranger, of_another_set, bare = (listed(replace(PG[0], uid=uid)) for uid in ("s", "o", "b"))
    stranger["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "pg", "uid": "r", "controller": True}]
    of_another_set["metadata"]["ownerReferences"][0]["name"] = "pg-of-somebody"
    bare["metadata"].pop("ownerReferences")
    assert inventory_of(listed(PG[0]), stranger, of_another_set, bare).pods == (PG[0],)
