"""Whatever a cluster owns is watched: who changes or deletes it has it applied again, and nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from caplab_operator.handlers import owned_watch
from caplab_operator.handlers.owned_watch import OwnedWatch
from caplab_operator.ledger import Ledger, version_of
from support.databases.loopback import listening, run, wait_until
from support.objects.dripping_server import DRIPS, dripping

from caplab.contract.names import CLUSTER_LABEL

MANIFEST: dict[str, Any] = {
    "apiVersion": "v1", "kind": "Service",
    "metadata": {"name": "rd-any", "ownerReferences": [{"uid": "u-1", "controller": True}]},
}  # fmt: skip
APPLIED = {"name": "rd-any", "uid": "s-1", "resourceVersion": "7"}
NAME = ("Service", "rd-any")


class Cluster:
    """That counts how often it is woken."""

    def __init__(self, uid: str = "u-1", name: str = "rd") -> None:
        self.uid, self.key, self.woken = uid, ("RedisCluster", "demo", name), 0

    def wake(self) -> None:
        self.woken += 1


class FakeApi:
    def __init__(self, port: int = 0) -> None:
        self.ledger, self.port = Ledger(), port
        self.ledger.note(MANIFEST, APPLIED)

    def request(self, path: str, query: Mapping[str, str], accept: str) -> tuple[str, dict[str, str]]:
        watch = "watch" if "watch" in query else "list"
        return f"http://127.0.0.1:{self.port}{path}?{watch}", {"Accept": accept}

    def tls(self) -> None:
        return None


def watching(*clusters: Cluster, port: int = 0) -> OwnedWatch:
    api: Any = FakeApi(port)
    of_demo: Any = list(clusters)
    return OwnedWatch(api=api, clusters_in=lambda namespace: of_demo if namespace == "demo" else [])


def test_a_deleted_and_a_changed_object_are_applied_again_once() -> None:
    for event, metadata in (("DELETED", APPLIED), ("MODIFIED", {**APPLIED, "resourceVersion": "8"})):
        cluster = Cluster()
        watch = watching(cluster)
        for _ in range(2):
            watch.on_event("demo", "Service", event, metadata)
        assert cluster.woken == 1
        assert watch.api.ledger.uid(MANIFEST) is None  # it is looked at again before it is applied


def test_what_the_operator_did_itself_and_what_is_not_the_clusters_stirs_nobody() -> None:
    cluster = Cluster()
    watch = watching(cluster, Cluster("u-2", "other"))
    watch.on_event("demo", "Service", "MODIFIED", APPLIED)
    watch.on_event("demo", "EndpointSlice", "DELETED", {**APPLIED, "name": "rd-any-x7z"})  # Kubernetes' own
    watch.on_event("elsewhere", "Service", "DELETED", APPLIED)
    watch.on_list("demo", "Service", [APPLIED], 7)
    assert cluster.woken == 0


@pytest.mark.parametrize(
    ("event", "version", "outdated"),
    [
        ("MODIFIED", "7", False),  # the operator's own
        ("MODIFIED", "6", False),  # from before
        ("MODIFIED", "8", True),
        ("DELETED", "8", True),  # or somebody took its label
        ("DELETED", "6", False),  # the one before it
    ],
)
def test_an_event_may_be_here_before_the_answer_that_the_apply_got(event: str, version: str, outdated: bool) -> None:
    watch = watching(Cluster())
    ledger: Ledger = watch.api.ledger
    ledger.invalidate("u-1", NAME)
    owned = {**APPLIED, "ownerReferences": MANIFEST["metadata"]["ownerReferences"]}
    watch.on_event("demo", "Service", event, {**owned, "resourceVersion": version})
    ledger.note(MANIFEST, APPLIED)
    assert (ledger.uid(MANIFEST) is None) is outdated
    assert [ledger.take_outdated("u-1"), ledger.take_outdated("u-1")] == [outdated, False]
    ledger.note(MANIFEST, APPLIED)
    assert ledger.uid(MANIFEST) == "s-1"


@pytest.mark.parametrize("seen_by", ["event", "list"])
@pytest.mark.parametrize("now", [None, {**APPLIED, "resourceVersion": "9"}])
def test_an_apply_that_others_overtake_is_done_again(seen_by: str, now: dict[str, Any] | None) -> None:
    """A recorded object is applied again, and changed or deleted before the answer to that is here."""
    watch = watching(Cluster())
    ledger: Ledger = watch.api.ledger
    if seen_by == "event":
        watch.on_event("demo", "Service", "MODIFIED" if now else "DELETED", now or {**APPLIED, "resourceVersion": "9"})
    else:
        watch.on_list("demo", "Service", [now] if now else [], 9)
    ledger.note(MANIFEST, {**APPLIED, "resourceVersion": "8"})
    assert not ledger.is_current(MANIFEST)
    assert ledger.take_outdated("u-1")


def test_a_status_changes_no_generation_and_so_stirs_nobody() -> None:
    applied = {**APPLIED, "generation": 3, "labels": {"a": "b"}}
    assert version_of(applied) == version_of({**applied, "resourceVersion": "99"})
    changes: list[dict[str, Any]] = [{"generation": 4}, {"labels": {}}, {"annotations": {"a": "b"}}]
    for changed in [*changes, {"ownerReferences": [{"uid": "u"}]}]:
        assert version_of(applied) != version_of({**applied, **changed})


@pytest.mark.parametrize("there", [[], [{**APPLIED, "uid": "another"}]])
def test_a_list_is_the_net_for_what_a_watch_missed(there: list[dict[str, Any]]) -> None:
    cluster = Cluster()
    watching(cluster).on_list("demo", "Service", there, 9)
    assert cluster.woken == 1


CLAIM = {"name": "data-rd-0", "uid": "c", "resourceVersion": "1", "labels": {CLUSTER_LABEL: "rd"}}


def test_a_volume_that_is_new_or_has_changed_has_its_cluster_take_it_in() -> None:
    cluster, other = Cluster(), Cluster("u-2", "other")
    watch = watching(cluster, other)
    watch.on_event("demo", "PersistentVolumeClaim", "ADDED", CLAIM)
    watch.on_event("demo", "PersistentVolumeClaim", "MODIFIED", CLAIM)
    watch.on_list("demo", "PersistentVolumeClaim", [], 1)
    assert (cluster.woken, other.woken) == (1, 0)
    # somebody took the owner away, or the StatefulSet's controller wrote it
    watch.on_event("demo", "PersistentVolumeClaim", "MODIFIED", {**CLAIM, "resourceVersion": "2"})
    watch.on_event("demo", "PersistentVolumeClaim", "DELETED", {**CLAIM, "resourceVersion": "3"})
    assert (cluster.woken, other.woken) == (2, 0)


def test_volumes_that_are_there_before_they_are_watched_are_taken_in_once() -> None:
    """A StatefulSet makes them at once, and the watch of a new namespace begins a moment later, with a list."""
    cluster = Cluster()
    watch = watching(cluster)
    for _ in range(2):
        watch.on_list("demo", "PersistentVolumeClaim", [CLAIM, {**CLAIM, "uid": "d", "labels": None}], 1)
    assert cluster.woken == 1
    watch.keep([])  # the cluster is gone; one of its name comes over the same volumes
    watch.on_list("demo", "PersistentVolumeClaim", [CLAIM], 1)
    assert cluster.woken == 2


class FakeWatch:
    """An API server's lists and watches over one connection each; the first watch ends at once, as if it were cut."""

    port = 0

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.lists = 0
        self.events: list[dict[str, Any]] = []
        self.broken = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.accepted.append(next(line for line in request.splitlines() if line.startswith("Accept:")))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
        if "?list" in request:
            self.lists += 1
            items = [{"metadata": APPLIED}] if "/services" in request else None
            writer.write(b"nonsense" if self.broken else _line({"metadata": {"resourceVersion": "7"}, "items": items}))
        elif "/services" in request:
            for event in self.events:
                writer.write(_line(event))
            await writer.drain()
            await asyncio.sleep(0.05)
        else:
            await asyncio.sleep(0.05)
        writer.close()


def _line(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body).encode() + b"\n"


def test_a_namespace_with_clusters_is_watched_by_metadata_only_for_as_long_as_it_has_any(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(owned_watch, "_RETRY_SECONDS", 0.01)

    async def scenario() -> None:
        async with listening(FakeWatch()) as fake:
            cluster = Cluster()
            watch = watching(cluster, port=fake.port)
            fake.events = [{"type": "DELETED", "object": {"metadata": APPLIED}}]
            watch.keep({"demo"})
            await wait_until(lambda: cluster.woken == 1)
            assert all("PartialObjectMetadata" in accepted for accepted in fake.accepted)
            fake.events = [{"type": "ERROR", "object": {"code": 410}}]  # too old: listed anew
            lists = fake.lists
            await wait_until(lambda: fake.lists > lists + 20)
            fake.broken = True
            lists = fake.lists
            caplog.clear()
            await wait_until(
                lambda: fake.lists > lists + 20 * len(owned_watch.KINDS)
            )  # nonsense ends no watch for good
            assert len(caplog.messages) <= 2 * len(owned_watch.KINDS)  # and fills no log
            watch.keep(())
            await asyncio.sleep(0.1)
            lists = fake.lists
            await asyncio.sleep(0.1)
            assert fake.lists == lists
            await watch.stop()

    run(scenario)


@pytest.mark.parametrize("drip", DRIPS)
@pytest.mark.parametrize("asked", ["list", "watch"])
def test_a_server_that_drips_holds_neither_a_list_nor_a_watch(
    drip: str, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owned_watch, "_LIST_SECONDS", 0.3)
    monkeypatch.setattr(owned_watch, "_WHOLE_WATCH_SECONDS", 0.3)

    async def ask(watch: OwnedWatch) -> None:
        if asked == "list":
            await watch._list("/services")
        else:
            async for _ in watch._events("/services", "7"):
                pass

    async def scenario() -> None:
        watch = watching(port=port)
        asking = asyncio.create_task(ask(watch))
        await asyncio.wait([asking], timeout=15)
        assert asking.done(), "it is waited for without an end"
        assert isinstance(asking.exception(), TimeoutError | aiohttp.ClientError | ValueError)
        await watch.stop()

    with dripping(*DRIPS[drip]) as port:
        run(scenario)
