"""What the clients of all engines share: one attempt to connect, within its time, and work on a link of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from .. import clock
from ..links import Endpoint, Link, NotDone, NotOpened, Scan
from ..outcomes import Outcome
from ..spec import Limits

_T = TypeVar("_T")
# A member's answer is held in memory as a whole, and it may be of any size.
ANSWER_BYTES = 1 << 20  # for an operation: the longest answer that is asked for is INFO, with some KiB
SCAN_BYTES = 128 << 20  # for a final scan, or a page of it
SCAN_ELEMENTS = 4_000_000
_SERVICE, _READ_ONLY = "service", "readonly"
_RETRY_NS = 500_000_000


def leads_to_replica(endpoint: Endpoint, opened_ns: int, outcome: Outcome) -> bool:
    """Return whether to give up a link to the primary's Service, since the member that it reached is no primary.

    A connection stays with its member, even long after the Service has moved to another one. This is not asked at each
    operation: clients would do nothing but connect.
    """
    is_old = clock.now_ns() - opened_ns >= _RETRY_NS
    return endpoint.name == _SERVICE and outcome.error == _READ_ONLY and is_old


def answer_too_long(max_bytes: int) -> str:
    """Return the reason why a connection with an answer that is too long is given up."""
    return f"the answer is longer than {max_bytes:,} bytes"


def check_scan_size(elements: int) -> None:
    """Raise NotDone if a scan has more elements than a prober can hold."""
    if elements > SCAN_ELEMENTS:
        raise NotDone(f"the run has more than {SCAN_ELEMENTS:,} elements. Hint: lower rate or seconds")


class WireError(Exception):
    """There was no success; sent is whether any byte of the request may have left."""

    def __init__(self, sent: bool, text: str) -> None:
        super().__init__(text)
        self.sent = sent


class WorkingLink(Link, Protocol):
    """A link that can also do work that is no operation."""

    async def prepare(self) -> None:
        """Make what the workloads need where it is missing. Raises NotDone or WireError."""

    async def scan(self, workload: str, run_id: str) -> Scan:
        """Read everything this member holds of a run. Raises WireError."""


class Opener:
    """An engine's Client, made from a function that connects once and raises NotOpened or OSError."""

    def __init__(self, limits: Limits, connect: Callable[[Endpoint], Awaitable[WorkingLink]]) -> None:
        self._limits = limits
        self._connect = connect

    async def open(self, endpoint: Endpoint) -> WorkingLink:
        """Connect and identify, within Limits.connect_seconds. Raises NotOpened."""
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                return await self._connect(endpoint)
        except TimeoutError:
            raise NotOpened(Outcome("fail", "timeout"), f"{endpoint.host}: no connection in time") from None
        except OSError as error:
            raise NotOpened(Outcome("fail", "refused"), f"{endpoint.host}: {error}") from error

    async def prepare(self, endpoint: Endpoint) -> None:
        """Make what the workloads need where it is missing. Raises NotDone."""
        await self._on_own_link(endpoint, lambda link: link.prepare())

    async def scan(self, endpoint: Endpoint, workload: str, run_id: str) -> Scan:
        """Read all that a member holds of a run. Raises NotDone."""
        return await self._on_own_link(endpoint, lambda link: link.scan(workload, run_id))

    async def close(self) -> None:
        """Do nothing: links share nothing."""

    async def _on_own_link(self, endpoint: Endpoint, work: Callable[[WorkingLink], Awaitable[_T]]) -> _T:
        """Do work that is no operation, on a link of its own and with more time."""
        try:
            link = await self.open(endpoint)
        except NotOpened as error:
            raise NotDone(f"{endpoint.name}: {error}") from error
        try:
            async with asyncio.timeout(self._limits.scan_seconds):
                return await work(link)
        except TimeoutError:
            raise NotDone(f"{endpoint.name}: not done within {self._limits.scan_seconds:g} s") from None
        except (NotDone, WireError) as error:
            raise NotDone(f"{endpoint.name}: {error}") from error
        finally:
            link.close()
