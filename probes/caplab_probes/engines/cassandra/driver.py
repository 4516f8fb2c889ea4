"""cassandra-driver, set up so that nothing is hidden or retried unasked, and its answers brought to asyncio.

The driver has threads of its own: one that reads and writes for all clusters, one for heartbeats, and some that
connect. A function here that blocks says so, and belongs in a thread; the others may be called from the event loop.
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
PROTOCOL = 5  # Cassandra 4.0 and later have it; the driver would silently fall back to an older one
# A member that was lost is tried again after this, without end. The default's delay grows to ten minutes, so that a
# member would be back long before it is used, and a limited number of attempts would lose it for good.
RECONNECT_SECONDS = 0.5
# On a connection that was silent for so long the driver sends a heartbeat, and gives it up if there is no answer in
# time: a member that froze or is cut off is left alone after 2 to 3 s. (30 s each by default.)
HEARTBEAT_SECONDS = 1
HEARTBEAT_TIMEOUT_SECONDS = 1
CONTROL_SECONDS = 2.0  # for the driver's requests about the ring and the schema, on a connection of its own
AGREEMENT_SECONDS = 10.0  # for the members to agree on the schema
# Events about members and tables are acted upon after a random delay of up to so much. (2 and 10 s by default, which
# spares the servers of many clients; here a member that came or went would stay unknown for that long.)
REFRESH_SECONDS = 0.5
# Attempts to connect to members that are cut off must not hold up those to the others.
CONNECTING_THREADS = 8
FRAME_BYTES = 16 << 20  # of an answer: a page of a scan has some ten KiB, the ring's tables a few hundred
SPECULATIVE_REQUESTS = 1  # beside the first one
SERVICE_PROFILE = "service"  # what applications do: by the ring, with speculation if it is asked for
DIRECT_PROFILE = EXEC_PROFILE_DEFAULT  # no speculation: with one host the driver would ask that one again
# It logs every attempt to connect, with a trace: half a megabyte a minute during a partition.
logging.getLogger("cassandra").setLevel(logging.CRITICAL)


def connect(
    contacts: Sequence[str], port: int, login: Mapping[str, str], limits: Limits, options: ClientOptions
) -> tuple[Any, Any]:
    """Return the driver's Cluster and Session, with every member connected or given up; blocks.

    Raises the driver's errors.
    """
    cluster = Cluster(
        contacts,
        port=port,
        auth_provider=PlainTextAuthProvider(login["username"], login["password"]) if login["password"] else None,
        protocol_version=PROTOCOL,
        compression=False,  # compression would only cost processor time: an operation has some hundred bytes
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
        # A member that came back gets all statements prepared before it is used. Otherwise its first operations would
        # take two exchanges each: "not prepared", and then the driver's second attempt.
        reprepare_on_up=True,
        metrics_enabled=False,  # the history has the figures
        monitor_reporting_enabled=False,
    )
    cluster.connection_class = with_bounded_frames(cluster.connection_class)
    session = cluster.connect(wait_for_all_pools=True)
    session.use_client_timestamp = options.client_timestamps
    return cluster, session


@cache
def with_bounded_frames(connection: Any) -> Any:
    """Return the driver's class of connections with a bound on frames: one that gets a longer frame is closed."""

    class BoundedConnection(connection):  # type: ignore[misc]  # whichever the driver found to work here
        def process_io_buffer(self) -> None:
            super().process_io_buffer()
            frame = self._current_frame
            size = max(self._io_buffer.readable_io_bytes(), frame.end_pos if frame else 0)
            if size > FRAME_BYTES:
                self.defunct(ConnectionException(answer_too_long(FRAME_BYTES), self.endpoint))

    return BoundedConnection


def timestamps(skew_ms: int, clock: Callable[[], int] | None = None) -> Callable[[], int]:
    """Return the timestamps, in microseconds since 1970, of a client whose clock is so many milliseconds ahead.

    The skew is added to the driver's own clock, which never goes back: one client's writes keep their order.
    """
    tick = clock or MonotonicTimestampGenerator()
    return lambda: int(tick()) + skew_ms * 1000


def profiles(options: ClientOptions) -> dict[Any, ExecutionProfile]:
    """Return the two ways to execute a statement; each has policies of its own, since policies keep state."""
    delay = options.speculative_delay_ms
    return {DIRECT_PROFILE: _profile(), SERVICE_PROFILE: _profile(delay)}


def _profile(delay_ms: int | None = None) -> ExecutionProfile:
    """Return a profile; delay_ms: what is idempotent goes to another member too after so long, None: never."""
    speculation = ConstantSpeculativeExecutionPolicy(delay_ms / 1000, SPECULATIVE_REQUESTS) if delay_ms else None
    return ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=DATA_CENTRE)),
        # The driver's default retries some time-outs and unavailables.
        retry_policy=ClosedRetryPolicy() if delay_ms else FallthroughRetryPolicy(),
        speculative_execution_policy=speculation,
        row_factory=tuple_factory,
    )


class ClosedRetryPolicy(FallthroughRetryPolicy):  # type: ignore[misc]  # the driver has no types
    """Asks another member what was under way on a connection that broke, once, if it may be sent twice.

    Without it a connection that breaks before the speculative request is sent, or answered, leaves an error.
    """

    def on_request_error(
        self, query: Any, consistency: Any, error: Exception, retry_num: int
    ) -> tuple[int, int | None]:
        """Return the driver's decision, and the level to retry at: None, as before."""
        again = isinstance(error, ConnectionException) and query.is_idempotent and retry_num == 0
        return (self.RETRY_NEXT_HOST if again else self.RETHROW), None


def send(
    session: Any, bound: Any, seconds: float, profile: object, host: Any = None, more: bytes | None = None
) -> asyncio.Future[Answer]:
    """Send a statement once. The answer comes as the future's result, errors too. Does not block.

    seconds: the driver's own time-out. host: the driver's Host that is to coordinate, None for the profile's choice.
    The future need not be awaited: an answer that is no longer wanted is dropped.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Answer] = loop.create_future()
    request = session.execute_async(bound, timeout=seconds, execution_profile=profile, host=host, paging_state=more)

    def deliver(rows: Any, error: Exception | None = None) -> None:  # in one of the driver's threads
        bound.is_idempotent = False  # it is answered: a connection that breaks later has nothing to be sent again
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
    # A host is appended after the statement was sent to it, in another thread: a retry counts from its decision on.
    count = len(asked) + request._query_retries
    return Answer(
        rows=tuple(rows or ()), error=error, asked=count, server=server.address if server else None, more=more
    )
