"""Between the rounds: whom Services lead to, and the watch that hears of a promotion."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

import pytest
from caplab_operator.engines.redis import observe
from caplab_operator.engines.redis.observe import Place
from caplab_operator.handlers import wiring
from caplab_operator.handlers.engines import ClusterController
from caplab_operator.handlers.redis import watch as redis_watch
from caplab_operator.handlers.redis.routes import Routes
from caplab_operator.handlers.redis.watch import PromotionWatch
from support.operator.observed_redis import BODY, GONE, PROMOTED, SPEC, observed, pod


class FakeApi:
    """Takes what is applied."""

    def __init__(self) -> None:
        self.applied: list[tuple[str, list[str]]] = []
        self.last: dict[str, Mapping[str, Any]] = {}

    def is_current(self, manifest: Mapping[str, Any]) -> bool:
        return self.last.get(manifest["metadata"]["name"]) == manifest

    def apply(self, manifest: Mapping[str, Any]) -> None:
        led_to = [endpoint["targetRef"]["name"] for endpoint in manifest["endpoints"]]
        self.applied.append((manifest["metadata"]["name"], led_to))
        self.last[manifest["metadata"]["name"]] = manifest


def test_of_two_looks_the_later_counts_whichever_is_done_first() -> None:
    api: Any = FakeApi()
    routes = Routes()
    routes.lead_to_all(api, SPEC, observed(began=1.0))
    assert api.applied == [("rd-primary", ["rd-0"]), ("rd-replicas", ["rd-1", "rd-2"])]
    assert routes.lead_to_primary(api, SPEC, replace(PROMOTED, began=3.0))
    routes.lead_to_all(api, SPEC, observed(began=2.0))  # a round that had to wait for somebody silent
    assert not routes.lead_to_primary(api, SPEC, replace(GONE, began=4.0))  # nobody is no better
    assert not routes.lead_to_primary(api, SPEC, replace(PROMOTED, began=5.0))
    assert api.applied[2:] == [("rd-primary", ["rd-1"])]
    routes.lead_to_all(api, SPEC, replace(PROMOTED, began=6.0))
    assert api.applied[3:] == [("rd-replicas", ["rd-2"])]


class FakeServer:
    """A Redis or a Sentinel that takes connections, and sends and closes what it is told to."""

    def __init__(self) -> None:
        self.port = 0
        self.came = 0
        self.received = b""
        self.writers: list[asyncio.StreamWriter] = []

    async def start(self) -> FakeServer:
        self._server = await asyncio.start_server(self._come, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        self.writers.append(writer)
        while data := await reader.read(1024):
            self.received += data
        self.writers.remove(writer)
        writer.close()

    def publish(self, channel: str) -> None:
        text = "".join(f"${len(word)}\r\n{word}\r\n" for word in ("message", channel, "caplab"))
        for writer in self.writers:
            writer.write(f"*3\r\n{text}".encode())

    def close_all(self) -> None:
        for writer in self.writers:
            writer.close()


class Looking:
    """Counts the looks; finds what it is told to from one of them on."""

    def __init__(self, primary_at: int = 0) -> None:
        self.looks = 0
        self.primary_at = primary_at

    def __call__(self) -> bool:
        self.looks += 1
        return self.looks == self.primary_at


async def wait_until(what: str, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.005)


def watching(
    monkeypatch: pytest.MonkeyPatch,
    look: Looking,
    scenario: Callable[[FakeServer, FakeServer, list[Place]], Coroutine[Any, Any, None]],
) -> None:
    """Run a scenario with a member, a Sentinel, and the place as it is told, which may change."""

    async def main() -> None:
        member, watcher = await FakeServer().start(), await FakeServer().start()
        monkeypatch.setattr(redis_watch, "REDIS_PORT", member.port)
        monkeypatch.setattr(redis_watch, "SENTINEL_PORT", watcher.port)
        monkeypatch.setattr(redis_watch, "_RETRY_SECONDS", 0.02)
        here = {"address": "127.0.0.1"}
        places = [Place((pod("rd-0", 0, **here),), (pod("rd-sentinel-0", 0, **here),), "pw")]
        task = asyncio.create_task(PromotionWatch(lambda: places[-1], look).run())
        try:
            await wait_until("both are attended to", lambda: member.came == 1 and b"SUBSCRIBE" in watcher.received)
            await scenario(member, watcher, places)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await wait_until("nobody is attended to any more", lambda: not member.writers and not watcher.writers)

    asyncio.run(main())


def test_a_member_that_closes_its_connections_is_looked_at_and_attended_to_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look = Looking()

    async def scenario(member: FakeServer, watcher: FakeServer, places: list[Place]) -> None:
        assert look.looks == 0
        member.close_all()
        await wait_until("it is looked at", lambda: look.looks == 1)
        await wait_until("it is attended to again", lambda: member.came == 2)
        watcher.close_all()
        await wait_until("so is the Sentinel", lambda: watcher.came == 2)
        assert look.looks == 1

    watching(monkeypatch, look, scenario)


def test_a_promotion_that_is_due_is_looked_for_until_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Looking(primary_at=4)

    async def scenario(member: FakeServer, watcher: FakeServer, places: list[Place]) -> None:
        assert watcher.received.startswith(b"AUTH operator pw\r\n")
        watcher.publish("+failover-state-wait-promotion")
        await wait_until("it is found", lambda: look.looks == 4)
        await asyncio.sleep(0.1)
        assert look.looks == 4
        watcher.publish("+switch-master")
        await wait_until("it is looked at once more", lambda: look.looks == 5)

    watching(monkeypatch, look, scenario)


def test_a_promotion_that_does_not_come_is_not_looked_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Looking()
    monkeypatch.setattr(redis_watch, "_POLL_SECONDS", 0.5)

    async def scenario(member: FakeServer, watcher: FakeServer, places: list[Place]) -> None:
        watcher.publish("+failover-state-wait-promotion")
        await wait_until("it is looked for", lambda: look.looks > 1)
        await asyncio.sleep(0.6)  # longer than it is looked for
        looks = look.looks
        await asyncio.sleep(0.1)
        assert look.looks == looks

    watching(monkeypatch, look, scenario)


def test_pods_that_go_are_attended_to_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(member: FakeServer, watcher: FakeServer, places: list[Place]) -> None:
        places.append(replace(places[0], members=()))
        await wait_until("the member is left alone", lambda: not member.writers)
        assert watcher.writers
        places.append(places[0])
        await wait_until("it is attended to again", lambda: member.came == 2)

    watching(monkeypatch, Looking(), scenario)


def another(uid: str, kind: str = "RedisCluster") -> dict[str, Any]:
    return {**BODY, "kind": kind, "metadata": {**BODY["metadata"], "uid": uid}}


def test_each_cluster_is_followed_once_and_as_long_as_it_is_there() -> None:
    followed: list[str] = []

    async def follow(api: object, body: Mapping[str, Any]) -> None:
        followed.append(body["metadata"]["uid"])
        if followed.count("u-1") == 1:
            raise OSError("something unforeseen")
        await asyncio.Event().wait()

    async def main() -> None:
        handlers: Any = None
        api: Any = None
        controllers = {
            "RedisCluster": ClusterController(handlers, follow),
            "PostgresCluster": ClusterController(handlers),
        }
        lab = wiring.Lab(api=api, controllers=controllers)
        lab.clusters.on_event("ADDED", BODY)
        lab.clusters.on_event("ADDED", another("u-9", kind="PostgresCluster"))
        for _ in range(4):  # the first attempt fails
            await wiring._keep_following(lab)
            await asyncio.sleep(0)
        assert followed == ["u-1", "u-1"]
        task = lab.followers["u-1"]
        lab.clusters.on_event("MODIFIED", another("u-2"))
        for _ in range(2):
            await wiring._keep_following(lab)
            await asyncio.sleep(0)
        assert (task.cancelled(), followed) == (True, ["u-1", "u-1", "u-2"])
        lab.clusters.on_event("DELETED", another("u-2"))
        task = lab.followers["u-2"]
        await wiring._keep_following(lab)
        await asyncio.sleep(0)
        assert task.cancelled()
        assert lab.followers == {}

    asyncio.run(main())


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let everybody in, and refuse whatever is asked."""
    while data := await reader.read(1024):
        for command in data.split(b"*")[1:]:
            writer.write(b"+OK\r\n" if b"AUTH" in command else b"-ERR refused\r\n")


def test_a_refusal_is_no_answer_and_is_told_where_something_was_to_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        monkeypatch.setattr(observe, "REDIS_PORT", server.sockets[0].getsockname()[1])
        monkeypatch.setattr(observe, "SENTINEL_PORT", 1)  # nobody is there
        here, nowhere = pod("rd-0", 0, address="127.0.0.1"), pod("rd-1", 1, address=None)
        place = Place((here, nowhere), (pod("rd-sentinel-0", 0, address="127.0.0.1"),), "pw")
        cluster = await asyncio.to_thread(observe.look, place, ["hz"])
        assert (cluster.members, cluster.sentinels) == ({}, {})
        set_it = [("CONFIG", "SET", "hz", "1"), ("CONFIG", "SET", "timeout", "1")]
        assert await asyncio.to_thread(observe.send_to_member, place, here, set_it) == ["refused", "refused"]
        assert "no address" in observe.send_to_member(place, nowhere, set_it)[0]

    asyncio.run(main())
