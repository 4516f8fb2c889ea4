"""The final scan of a Cassandra: what each member holds by itself, or what all of them hold together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from ...links import Endpoint, NotDone, Scan
from ..opening import refuse_more
from .driver import DIRECT_PROFILE, send
from .outcomes import Answer
from .shared import Opened
from .statements import Statement, element_of, scans_of

_AT_ONCE = 16  # statements under way: a small part of the 128 threads that a member has by itself for its clients
_REQUEST_SECONDS = 15.0  # the driver's time-out; the server's own for a range is 10 s
_ROWS = 1000  # a page

Element = tuple[str | None, int]


async def scan_run(opened: Opened, endpoint: Endpoint, workload: str, run_id: str) -> Scan:
    """What one member holds of a run, without asking another; by the Service, what all members hold together.

    A member reads by itself at level ONE as its own coordinator, if it has a copy of every key: raises NotDone where it
    has not. At level ALL the coordinator puts all copies together; that one decides what was kept. Raises NotDone, and
    what the driver raises.
    """
    if endpoint.name == "service":
        return Scan("all", None, True, await _read(opened, workload, run_id, "ALL", None))
    host = opened.host(endpoint.host)
    if host is None or not opened.connected(host):
        raise NotDone("the driver has no connection to it")
    members, copies = len(opened.cluster.metadata.all_hosts()), opened.replication_factor()
    if copies < members:
        raise NotDone(
            f"of {copies} copies and {members} members none can read all by itself. Hint: scan on the route service"
        )
    return Scan(endpoint.name, None, False, await _read(opened, workload, run_id, "ONE", host))


async def _read(opened: Opened, workload: str, run_id: str, level: str, host: Any) -> tuple[Element, ...]:
    await opened.prepared()
    statements = scans_of(workload, run_id, level)
    found: list[Element] = []
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(_work(opened, statements, host, found))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return tuple(sorted(found, key=lambda element: (element[0] or "", element[1])))


async def _work(opened: Opened, statements: Iterator[Statement], host: Any, found: list[Element]) -> None:
    """Carry out statements as long as there are any; the iterator is shared with others of its kind."""
    for statement in statements:
        more: bytes | None = None
        while True:
            answer = await _page(opened, statement, host, more)
            found += map(element_of, answer.rows)
            refuse_more(len(found))
            more = answer.more
            if more is None:
                break


async def _page(opened: Opened, statement: Statement, host: Any, more: bytes | None) -> Answer:
    bound = opened.bound(statement)
    bound.fetch_size = _ROWS
    answer = await send(opened.session, bound, _REQUEST_SECONDS, DIRECT_PROFILE, host, more)
    if answer.error is not None:
        raise NotDone(str(answer.error))
    return answer
