"""How the driver is set up: nothing is tried twice, nothing is hidden, and what is lost comes back soon."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from caplab_probes.engines.cassandra import driver
from caplab_probes.engines.cassandra.driver import DIRECT_PROFILE, SERVICE_PROFILE, connect, profiles, send
from caplab_probes.spec import PLAIN_CLIENT, ClientOptions, Limits
from cassandra import OperationTimedOut
from cassandra.cluster import Cluster
from cassandra.connection import ConnectionShutdown
from cassandra.policies import (
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    FallthroughRetryPolicy,
    RetryPolicy,
    TokenAwarePolicy,
)
from cassandra.protocol import OverloadedErrorMessage
from support.databases.fake_cassandra import Bound, FakeRing, Planted, Session


class NeverConnected(Cluster):  # type: ignore[misc]  # the driver has no types
    """The driver's own Cluster with the settings it was given; connecting is left out."""

    made: Any = None

    def connect(self, keyspace: str | None = None, wait_for_all_pools: bool = False) -> Any:
        NeverConnected.made = self
        assert wait_for_all_pools  # else the first operations of some members would be refused
        return Session(FakeRing(), self)


def made(options: ClientOptions = PLAIN_CLIENT, password: str = "secret") -> tuple[Any, Any]:
    login = {"username": "caplab", "password": password}
    cluster, session = connect(("10.0.0.1",), 9042, login, Limits(connect_seconds=0.7), options)
    cluster.shutdown()
    return cluster, session


@pytest.fixture(autouse=True)
def never_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "Cluster", NeverConnected)


def test_the_driver_goes_down_to_no_older_protocol_and_is_tried_for_ever() -> None:
    cluster, _ = made()
    assert (cluster.protocol_version, cluster._protocol_version_explicit) == (5, True)
    delays = cluster.reconnection_policy.new_schedule()
    assert {next(delays) for _ in range(1000)} == {driver.RECONNECT_SECONDS}
    assert cluster.connect_timeout == 0.7
    assert (cluster.idle_heartbeat_interval, cluster.idle_heartbeat_timeout) == (1, 1)
    assert not cluster.compression
    assert not cluster.metrics_enabled
    assert cluster.reprepare_on_up


def test_nothing_is_retried_on_either_way() -> None:
    for profile in profiles(PLAIN_CLIENT).values():
        assert type(profile.retry_policy) is FallthroughRetryPolicy
        assert type(profile.load_balancing_policy) is TokenAwarePolicy
        child = profile.load_balancing_policy._child_policy
        assert (type(child), child.local_dc) == (DCAwareRoundRobinPolicy, "dc1")
    # A policy keeps state: each has its own.
    assert len({id(profile.load_balancing_policy) for profile in profiles(PLAIN_CLIENT).values()}) == 2


def test_only_an_application_speculates_and_only_where_it_is_asked_for() -> None:
    plain, asked = profiles(PLAIN_CLIENT), profiles(ClientOptions(speculative_delay_ms=50))
    for profile in (plain[SERVICE_PROFILE], plain[DIRECT_PROFILE], asked[DIRECT_PROFILE]):
        assert profile.speculative_execution_policy.new_plan(None, None).next_execution(None) < 0
    policy = asked[SERVICE_PROFILE].speculative_execution_policy
    assert type(policy) is ConstantSpeculativeExecutionPolicy
    assert (policy.delay, policy.max_attempts) == (0.05, 1)


@pytest.mark.parametrize(
    ("error", "idempotent", "retry_num", "again"),
    [
        (ConnectionShutdown("closed"), True, 0, True),
        (ConnectionShutdown("closed"), True, 1, False),  # once
        (ConnectionShutdown("closed"), False, 0, False),  # an increment may have been done
        (OverloadedErrorMessage(0x1001, "overloaded", None), True, 0, False),  # the server's own refusals stay
    ],
)
def test_what_was_under_way_on_a_connection_that_broke_is_asked_of_another_where_clients_hedge(
    error: Exception, idempotent: bool, retry_num: int, again: bool
) -> None:
    asked = profiles(ClientOptions(speculative_delay_ms=50))
    policy, query = asked[SERVICE_PROFILE].retry_policy, SimpleNamespace(is_idempotent=idempotent)
    decision = RetryPolicy.RETRY_NEXT_HOST if again else RetryPolicy.RETHROW
    assert policy.on_request_error(query, None, error, retry_num) == (decision, None)
    assert policy.on_write_timeout(query, None, None, 2, 1, 0) == (RetryPolicy.RETHROW, None)
    assert type(asked[DIRECT_PROFILE].retry_policy) is FallthroughRetryPolicy


def test_who_stamps_writes_is_the_sessions_choice() -> None:
    assert made()[1].use_client_timestamp is True
    assert made(ClientOptions(client_timestamps=False))[1].use_client_timestamp is False


def stamped(options: ClientOptions, text: str = "") -> tuple[int, int | None]:
    """The wall clock (microseconds) right before a statement was sent, and the time that it had on it."""
    _, session = made(options)

    async def scenario() -> None:
        await send(session, Bound(text=text, values=()), 1.0, DIRECT_PROFILE)

    ring = session._ring
    ring.planted.append(Planted(OperationTimedOut()))
    before = time.time_ns() // 1000
    asyncio.run(scenario())
    return before, ring.sent[-1].stamp


@pytest.mark.parametrize("skew_ms", [None, 0, 30_000, -30_000])
def test_a_skewed_client_stamps_what_it_sends_so_much_later(skew_ms: int | None) -> None:
    before, stamp = stamped(ClientOptions(clock_skew_ms=skew_ms))
    assert stamp is not None
    assert 0 <= stamp - (skew_ms or 0) * 1000 - before < 5_000_000


def test_where_the_coordinator_stamps_nothing_is_sent_with_a_time() -> None:
    assert stamped(ClientOptions(client_timestamps=False))[1] is None


def test_a_skewed_clients_own_writes_keep_their_order_when_the_clock_stands_still() -> None:
    stamp = driver.timestamps(-250)
    timestamps = [stamp() for _ in range(1000)]
    assert timestamps == sorted(set(timestamps))
    ticks = iter((100_000_000, 100_000_001))
    assert driver.timestamps(-250, lambda: next(ticks))() == 99_750_000


def test_without_a_password_nobody_logs_in() -> None:
    assert made(password="")[0].auth_provider is None
    assert made()[0].auth_provider.password == "secret"


def test_an_answer_comes_from_a_thread_and_the_loop_never_waits() -> None:
    async def scenario() -> None:
        ring = FakeRing(planted=[Planted(hang=True), Planted(OperationTimedOut()), Planted(hang=True)])
        session = Session(ring)
        silent = send(session, Bound(text="", values=()), 1.0, DIRECT_PROFILE)
        answer = await send(session, Bound(text="", values=()), 1.0, DIRECT_PROFILE)
        assert isinstance(answer.error, OperationTimedOut)
        assert (answer.rows, answer.asked, answer.server, answer.more) == ((), 1, "10.0.0.1", None)
        assert not silent.done()
        # Speculation may answer twice; whoever does not wait any more hears nothing.
        for _ in range(2):
            threading.Thread(target=ring.hanging[0].settle, args=([(1,)], None)).start()
        assert (await silent).rows == ((1,),)
        dropped = send(session, Bound(text="", values=()), 1.0, DIRECT_PROFILE)
        dropped.cancel()
        ring.hanging[1].settle(None, None)
        await asyncio.sleep(0)

    asyncio.run(scenario())


def test_an_answer_after_the_end_of_the_loop_breaks_nothing() -> None:
    ring = FakeRing(planted=[Planted(hang=True)])

    async def scenario() -> None:
        send(Session(ring), Bound(text="", values=()), 1.0, DIRECT_PROFILE)

    asyncio.run(scenario())
    ring.hanging[0].settle(None, None)
