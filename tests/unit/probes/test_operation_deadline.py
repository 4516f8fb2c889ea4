"""A client that waits: what a frozen server acks late is seen, and a load ends as soon as it does without."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from caplab_probes.engines import keep_alive as keep_alive_module
from caplab_probes.engines.keep_alive import keep_alive, user_timeout_ms
from caplab_probes.engines.postgres import client as postgres_client
from caplab_probes.exporter import Exporter
from caplab_probes.history.writer import read_folder
from caplab_probes.links import Client, Endpoint, Topology
from caplab_probes.load.operation_deadline import OperationDeadline
from caplab_probes.load.sessions import session_numbers
from caplab_probes.outcomes import Outcome
from caplab_probes.probe import Probe, ProberContext
from caplab_probes.spec import PLAIN_CLIENT, ClientOptions, Limits, ProbeSpec
from support.databases import fake_postgres, fake_redis
from support.databases.fake_postgres import LIMITS, FakeServer, fake_server
from support.databases.fake_redis import FakeRedis

from caplab.model.history import validate

Fake = FakeServer | FakeRedis
ENGINES = (fake_postgres, fake_redis)
FAKES: tuple[Callable[[], Any], ...] = (fake_postgres.fake_server, fake_redis.fake_redis)
PATIENT = ClientOptions(timeout_ms=30_000)
UNHURRIED = replace(LIMITS, start_seconds=5.0)  # no operation is given up, however busy the machine is


def client_of(fake: Fake, limits: Limits = LIMITS) -> Client:
    return fake_redis.client_of(fake, limits) if isinstance(fake, FakeRedis) else fake_postgres.client_of(fake, limits)


def probe_of(fake: Fake, folder: Path, options: ClientOptions, limits: Limits = LIMITS, **spec: object) -> Probe:
    settings: dict[str, Any] = {"run_id": "run-1", "workload": "set", "rate": 20, "seconds": 1.0, **spec}
    whole = ProbeSpec(routes=("service",), vantages=("a",), seed=1, client=options, **settings)
    topology = Topology(Endpoint("service", "127.0.0.1", fake.port), ())
    around = ProberContext(vantage="a", folder=folder, limits=limits, exporter=Exporter("a"), numbers=session_numbers())
    return Probe(whole, around, client_of(fake, options.limits(limits)), lambda: topology)


async def running(probe: Probe) -> asyncio.Task[None]:
    task = asyncio.create_task(probe.run())
    while probe.status.operations < 3:
        await asyncio.sleep(0.01)
    return task


async def frozen_for(fake: Fake, seconds: float) -> None:
    fake.hang = asyncio.Event()
    await asyncio.sleep(seconds)
    fake.hang.set()
    fake.hang = None


def rows_of(folder: Path, run_id: str = "run-1") -> list[dict[str, Any]]:
    return list(validate(read_folder(folder / run_id)).to_pylist())


def outcomes(rows: list[dict[str, Any]]) -> Counter[tuple[str, str | None]]:
    return Counter((row["outcome"], row["error"]) for row in rows)


@pytest.mark.parametrize("fake_of", FAKES)
def test_a_reply_that_is_late_is_an_ack_for_a_client_that_waits_and_nobody_knows_for_one_that_does_not(
    fake_of: Callable[[], Any], tmp_path: Path
) -> None:
    async def load(options: ClientOptions, folder: Path) -> list[dict[str, Any]]:
        async with fake_of() as fake:
            probe = probe_of(fake, folder, options, seconds=2.0)
            task = await running(probe)
            # Four operations are due in its first 0.2 s, and wait for twice the 0.2 s at least.
            await frozen_for(fake, 0.6)
            await task
            assert probe.status.phase == "Done"
            return rows_of(folder)

    plain = asyncio.run(load(PLAIN_CLIENT, tmp_path / "plain"))
    waiting = asyncio.run(load(ClientOptions(timeout_ms=30_000), tmp_path / "waiting"))
    assert outcomes(plain)["info", "timeout"] > 0
    assert set(outcomes(waiting)) == {("ok", None), ("fail", "overload")}
    late = [row for row in waiting if row["outcome"] == "ok" and row["return_ns"] - row["invoke_ns"] > 2e8]
    assert late
    # Those that found no place meanwhile are overloads; then operations flow again, if not all on a busy machine.
    assert outcomes(waiting[-20:])["ok", None] > 0


@pytest.mark.parametrize("stop", [True, False])
@pytest.mark.parametrize("fake_of", FAKES)
def test_a_load_ends_without_waiting_as_long_as_its_client_would(
    fake_of: Callable[[], Any], stop: bool, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with fake_of() as fake:
            probe = probe_of(fake, tmp_path, PATIENT, seconds=None if stop else 1.0)
            task = await running(probe)
            fake.hang = waits = asyncio.Event()
            await asyncio.sleep(0.4)
            assert not any(row["outcome"] == "info" for row in rows_of(tmp_path))
            began = time.monotonic()
            if stop:
                probe.stop()
            await task
            assert time.monotonic() - began < 5
            assert probe.status.phase == "Done"
            waits.set()
            await asyncio.sleep(0.05)
            assert fake.open == 0

    asyncio.run(scenario())
    unknown = [row for row in rows_of(tmp_path) if row["outcome"] == "info"]
    assert outcomes(unknown) == {("info", "timeout"): LIMITS.in_flight}
    assert all(row["return_ns"] is None for row in unknown)


def test_operations_that_wait_hold_up_no_other_load_on_the_same_server(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with fake_server(hanging="INTO caplab_set") as fake:
            waiting = probe_of(fake, tmp_path, PATIENT)
            task = await running(waiting)
            fake.hang = asyncio.Event()
            beside = probe_of(fake, tmp_path, PATIENT, UNHURRIED, run_id="run-2", workload="counter", seconds=0.5)
            await beside.run()
            assert beside.status.phase == "Done"
            await task
            fake.hang.set()

    asyncio.run(scenario())
    assert outcomes(rows_of(tmp_path))["info", "timeout"] == LIMITS.in_flight
    assert outcomes(rows_of(tmp_path, "run-2")) == {("ok", None): 10}


@pytest.mark.parametrize(("seconds", "milliseconds"), [(0.05, 4000), (1.0, 4000), (1.5, 4500), (120, 123_000)])
def test_a_connection_is_given_up_by_the_kernel_only_after_the_operation_on_it_is(
    seconds: float, milliseconds: int
) -> None:
    assert user_timeout_ms(seconds) == milliseconds
    assert (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds) in keep_alive(seconds)


def options_of(file: int) -> list[int]:
    with closing(socket.socket(fileno=os.dup(file))) as duplicate:
        names = (socket.TCP_USER_TIMEOUT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        return [duplicate.getsockopt(socket.IPPROTO_TCP, name) for name in names]


@pytest.mark.parametrize(("limits", "milliseconds"), [(Limits(), 4000), (PATIENT.limits(Limits()), 33_000)])
@pytest.mark.parametrize("fake_of", FAKES)
def test_the_kernel_is_told_so_for_every_connection(
    fake_of: Callable[[], Any], limits: Limits, milliseconds: int
) -> None:
    async def scenario() -> None:
        async with fake_of() as fake:
            link: Any = await client_of(fake, limits).open(Endpoint("service", "127.0.0.1", fake.port))
            wire = link._wire
            file = wire._socket if isinstance(fake, FakeServer) else wire._transport.get_extra_info("socket").fileno()
            assert options_of(file) == [milliseconds, 1, 1, 3]
            link.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(("engine", "fake_of"), list(zip(ENGINES, FAKES, strict=True)))
def test_a_server_that_is_silent_while_its_kernel_acknowledges_is_not_given_up_by_the_clients_kernel(
    engine: Any, fake_of: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (keep_alive_module, postgres_client):
        monkeypatch.setattr(module, "user_timeout_ms", lambda seconds: 100)

    async def scenario() -> None:
        async with fake_of() as fake:
            link = await client_of(fake).open(Endpoint("service", "127.0.0.1", fake.port))
            frozen = asyncio.create_task(frozen_for(fake, 0.6))
            await asyncio.sleep(0)
            assert (await link.perform(engine.ADD)).outcome == Outcome("ok")
            assert frozen.done()
            link.close()

    asyncio.run(scenario())


def asked_in(seconds: float, then: Callable[[OperationDeadline], Awaitable[None]]) -> list[str]:
    """Which of two waits, 'first' and 'second', were given up."""
    given_up: list[str] = []

    def first() -> None:
        given_up.append("first")

    def second() -> None:
        given_up.append("second")

    async def scenario() -> None:
        deadline = OperationDeadline(seconds)
        deadline.begin(first)
        await then(deadline)
        deadline.begin(second)
        await asyncio.sleep(0.1)
        deadline.end(first)
        deadline.end(second)
        await asyncio.sleep(0.1)

    asyncio.run(scenario())
    return given_up


async def nothing(_: OperationDeadline) -> None:
    pass


async def shorten(deadline: OperationDeadline) -> None:
    deadline.shorten(0.01)


async def lengthen(deadline: OperationDeadline) -> None:
    deadline.shorten(60)


async def shorten_too_late(deadline: OperationDeadline) -> None:
    await asyncio.sleep(0.05)
    deadline.shorten(0.01)


@pytest.mark.parametrize(
    ("seconds", "then", "given_up"),
    [
        (60, nothing, []),
        (0.02, nothing, ["first", "second"]),
        (60, shorten, ["first", "second"]),
        (0.02, lengthen, ["first", "second"]),
        (60, lengthen, []),
        (0.02, shorten_too_late, ["first", "second"]),  # each once
    ],
)
def test_patience_may_become_shorter_and_never_longer(
    seconds: float, then: Callable[[OperationDeadline], Awaitable[None]], given_up: list[str]
) -> None:
    assert asked_in(seconds, then) == given_up
