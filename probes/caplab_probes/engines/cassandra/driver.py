"""cassandra-driver, set up so that nothing is tried twice or hidden, and its answers brought to asyncio's side.

The driver has threads of its own: one that reads and writes for all clusters, a heartbeat's, and some that connect.
What blocks here says so, and belongs into a thread; what does not may be called from the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, ResultSet
from cassandra.connection import ConnectionException
from cassandra.policies import (
    ConstantReconnectionPolicy,
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    FallthroughRetryPolicy,
    TokenAwarePolicy,
)
from cassandra.query import tuple_factory
from cassandra.timestamps import MonotonicTimestampGenerator

from ...spec import ClientOptions, Limits
from ..keep_alive import keep_alive
from ..opening import answer_too_long
from .outcomes import Answer

DATA_CENTRE = "dc1"
PROTOCOL = 5  # of Cassandra 4.0 and later; the driver would go down to an older one without a word
# A member that was lost is tried again after this, for ever: the default's delay grows to ten minutes, so that a member
# would long be back before it is used, and a limited number of attempts would lose it for good.
RECONNECT_SECONDS = 0.5
# A connection on which nothing came for so long is asked for a sign of life, and given up when there is none in time: a
# member that froze or is cut off is left alone after 2 to 3 s. (30 s each by default.)
HEARTBEAT_SECONDS = 1
HEARTBEAT_TIMEOUT_SECONDS = 1
CONTROL_SECONDS = 2.0  # for what the driver asks about the ring and the schema, on a connection of its own
AGREEMENT_SECONDS = 10.0  # for the members to agree on the schema
# News of members and tables are acted upon after a random delay of up to so much. (2 and 10 s by default, which spares
# the servers of many clients; here it would keep a member that came or went unknown.)
REFRESH_SECONDS = 0.5
# What hangs in connecting to members that are cut off must not keep those from connecting that are not.
CONNECTING_THREADS = 8
FRAME_BYTES = 16 << 20  # of an answer: a page of a scan has some ten KiB, what the ring's tables say a few hundred
SPECULATIVE_REQUESTS = 1  # beside the first one
SERVICE_PROFILE = "service"  # how applications go: by the ring, with speculation where it is asked for
DIRECT_PROFILE = EXEC_PROFILE_DEFAULT  # no speculation: with one host the driver would ask that one again
# It tells of every attempt to connect, with a trace: half a megabyte a minute during a partition.
logging.getLogger("cassandra").setLevel(logging.CRITICAL)


def connect(
    contacts: Sequence[str], port: int, login: Mapping[str, str], limits: Limits, options: ClientOptions
) -> tuple[Any, Any]:
    """The driver's Cluster and Session, every member connected or given up; blocks. Raises what the driver does."""
    cluster = Cluster(
        contacts,
        port=port,
        auth_provider=PlainTextAuthProvider(login["username"], login["password"]) if login["password"] else None,
        protocol_version=PROTOCOL,
        compression=False,  # processor time for nothing: an operation has some hundred bytes
        execution_profiles=profiles(options),
        reconnection_policy=ConstantReconnectionPolicy(RECONNECT_SECONDS, max_attempts=None),
        connect_timeout=limits.connect_seconds,
        control_connection_timeout=CONTROL_SECONDS,
        idle_heartbeat_interval=HEARTBEAT_SECONDS,
        idle_heartbeat_timeout=HEARTBEAT_TIMEOUT_SECONDS,
        max_schema_agreement_wait=AGREEMENT_SECONDS,
        schema_event_refresh_window=REFRESH_SECONDS,
        topology_event_refresh_window=REFRESH_SECONDS,
        status_event_refresh_window=REFRESH_SECONDS,
        executor_threads=CONNECTING_THREADS,
        sockopts=keep_alive(limits.statement_seconds),
        timestamp_generator=timestamps(options.clock_skew_ms or 0),
        # A member that came back is told all statements before it is used, else its first operations would be two
        # exchanges each: "not prepared", and then the driver's second try.
        reprepare_on_up=True,
        metrics_enabled=False,  # the history is the measure
        monitor_reporting_enabled=False,
    )
    cluster.connection_class = with_bounded_frames(cluster.connection_class)
    session = cluster.connect(wait_for_all_pools=True)
    session.use_client_timestamp = options.client_timestamps
    return cluster, session


@cache
def with_bounded_frames(connection: Any) -> Any:
    """The driver's class of connections, with a bound on frames: one on which a longer frame begins is closed."""

    class BoundedConnection(connection):  # type: ignore[misc]  # whichever the driver found to work here
        def process_io_buffer(self) -> None:
            super().process_io_buffer()
            frame = self._current_frame
            size = max(self._io_buffer.readable_io_bytes(), frame.end_pos if frame else 0)
            if size > FRAME_BYTES:
                self.defunct(ConnectionException(answer_too_long(FRAME_BYTES), self.endpoint))

    return BoundedConnection


def timestamps(skew_ms: int, clock: Callable[[], int] | None = None) -> Callable[[], int]:
    """What a client whose clock is so much later stamps its requests with, in microseconds since 1970.

    The skew is beside the driver's own clock, which never goes back: what one client writes keeps its order.
    """
    tick = clock or MonotonicTimestampGenerator()
    return lambda: int(tick()) + skew_ms * 1000


def profiles(options: ClientOptions) -> dict[Any, ExecutionProfile]:
    """The two ways to execute a statement; each has policies of its own, since policies keep state."""
    delay = options.speculative_delay_ms
    speculation = ConstantSpeculativeExecutionPolicy(delay / 1000, SPECULATIVE_REQUESTS) if delay else None
    return {DIRECT_PROFILE: _profile(None), SERVICE_PROFILE: _profile(speculation)}


def _profile(speculation: ConstantSpeculativeExecutionPolicy | None) -> ExecutionProfile:
    return ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=DATA_CENTRE)),
        retry_policy=FallthroughRetryPolicy(),  # the default tries some time-outs and unavailables again
        speculative_execution_policy=speculation,
        row_factory=tuple_factory,
    )


def send(
    session: Any, bound: Any, seconds: float, profile: object, host: Any = None, more: bytes | None = None
) -> asyncio.Future[Answer]:
    """Send a statement once; the answer comes as a result, errors too. Does not block.

    seconds: the driver's own time-out. host: the driver's Host that is to coordinate; None: as the profile has it.
    Nobody need wait for the future: an answer that is not wanted any more is dropped.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Answer] = loop.create_future()
    request = session.execute_async(bound, timeout=seconds, execution_profile=profile, host=host, paging_state=more)

    def deliver(rows: Any, error: Exception | None = None) -> None:  # in a thread of the driver's
        answer = _answer(request, rows, error)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(_resolve, future, answer)

    request.add_callbacks(deliver, lambda error: deliver(None, error))
    return future


def _resolve(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():  # a speculative request may be answered twice
        future.set_result(answer)


def _answer(request: Any, rows: Any, error: Exception | None) -> Answer:
    asked = request.attempted_hosts
    server = request.coordinator_host or (asked[-1] if asked else None)
    more = ResultSet(request, rows).paging_state if error is None and request.has_more_pages else None
    return Answer(tuple(rows or ()), error, len(asked), server.address if server else None, more)
