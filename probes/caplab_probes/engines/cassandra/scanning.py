"""The final scan of Cassandra: what each member holds by itself, or what all of them hold together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from ...links import Endpoint, NotDone, Scan
from ..opening import check_scan_size
from .connection import DriverConnection
from .driver import DIRECT_PROFILE, send
from .outcomes import Answer
from .statements import Statement, element_of, scans_of

_CONCURRENCY = 16  # statements under way: a small share of the 128 threads that a member has for its clients
_REQUEST_SECONDS = 15.0  # the driver's time-out; the server's own for a range is 10 s
_ROWS = 1000  # rows of a page

Element = tuple[str | None, int]


async def scan_run(connection: DriverConnection, endpoint: Endpoint, workload: str, run_id: str) -> Scan:
    """Read what one member holds of a run, without asking another; through the Service, what all members hold together.

    A member reads by itself at level ONE as its own coordinator, if it has a copy of every key; NotDone is raised if it
    has not. At level ALL the coordinator puts all copies together, and its result decides what was kept. Raises
    NotDone, and the driver's errors.
    """
    if endpoint.name == "service":
        return Scan("all", None, True, await _read(connection, workload, run_id, "ALL", None))
    host = connection.host(endpoint.host)
    if host is None or not connection.connected(host):
        raise NotDone("the driver has no connection to it")
    members, copies = len(connection.cluster.metadata.all_hosts()), connection.replication_factor()
    if copies < members:
        raise NotDone(
            f"with {copies} copies on {members} members, no member has every key. Hint: scan on the route service"
        )
    return Scan(endpoint.name, None, False, await _read(connection, workload, run_id, "ONE", host))


async def _read(connection: DriverConnection, workload: str, run_id: str, level: str, host: Any) -> tuple[Element, ...]:
    await connection.prepared()
    statements = scans_of(workload, run_id, level)
    elements: list[Element] = []
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_CONCURRENCY):
                group.create_task(_scan_worker(connection, statements, host, elements))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return tuple(sorted(elements, key=lambda element: (element[0] or "", element[1])))


async def _scan_worker(
    connection: DriverConnection, statements: Iterator[Statement], host: Any, elements: list[Element]
) -> None:
    """Carry out statements as long as there are any; several workers share the iterator."""
    for statement in statements:
        more: bytes | None = None
        while True:
            answer = await _page(connection, statement, host, more)
            elements += map(element_of, answer.rows)
            check_scan_size(len(elements))
            more = answer.more
            if more is None:
                break


async def _page(connection: DriverConnection, statement: Statement, host: Any, more: bytes | None) -> Answer:
    bound = connection.bound(statement)
    bound.fetch_size = _ROWS
    answer = await send(connection.session, bound, _REQUEST_SECONDS, DIRECT_PROFILE, host, more)
    if answer.error is not None:
        raise NotDone(str(answer.error))
    return answer
