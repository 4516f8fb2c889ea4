"""What every engine's client does the same way: one try to connect, within its time, and work on a link of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from .. import clock
from ..links import Endpoint, Link, NotDone, NotOpened, Scan
from ..outcomes import Outcome
from ..spec import Limits

_T = TypeVar("_T")
# What a member answers is held in memory as a whole, and it may answer anything.
ANSWER_BYTES = 1 << 20  # of an operation: the longest that is asked for is INFO, with some KiB
SCAN_BYTES = 128 << 20  # of a final scan, or a page of it
SCAN_ELEMENTS = 4_000_000
_SERVICE, _READ_ONLY = "service", "readonly"
_TRY_AGAIN_NS = 500_000_000


def leads_to_replica(endpoint: Endpoint, opened_ns: int, outcome: Outcome) -> bool:
    """Whether a link to the primary's Service is to be given up, since what it reached is no primary.

    A connection stays where it is, and the Service may long lead to another member. Not with each operation: clients
    would do nothing but connect.
    """
    is_old = clock.now_ns() - opened_ns >= _TRY_AGAIN_NS
    return endpoint.name == _SERVICE and outcome.error == _READ_ONLY and is_old


def answer_too_long(most_bytes: int) -> str:
    """Why a connection is given up whose answer does not end."""
    return f"the answer is over {most_bytes:,} bytes"


def check_scan_size(elements: int) -> None:
    """NotDone where a scan found more than a prober can hold."""
    if elements > SCAN_ELEMENTS:
        raise NotDone(f"it holds over {SCAN_ELEMENTS:,} elements of the run. Hint: a lower rate, or fewer seconds")


class WireError(Exception):
    """There was no success; sent says whether any byte of what was asked may have left."""

    def __init__(self, sent: bool, text: str) -> None:
        super().__init__(text)
        self.sent = sent


class WorkingLink(Link, Protocol):
    """A link that can also do what is no operation."""

    async def prepare(self) -> None:
        """Make what the workloads need where it is missing; raises NotDone or WireError."""

    async def scan(self, workload: str, run_id: str) -> Scan:
        """Everything this member holds of a run; raises WireError."""


class Opener:
    """An engine's Client, made from the way to connect once, which raises NotOpened or OSError."""

    def __init__(self, limits: Limits, connect: Callable[[Endpoint], Awaitable[WorkingLink]]) -> None:
        self._limits = limits
        self._connect = connect

    async def open(self, endpoint: Endpoint) -> WorkingLink:
        """Connect and identify, within Limits.connect_seconds; raises NotOpened."""
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                return await self._connect(endpoint)
        except TimeoutError:
            raise NotOpened(Outcome("fail", "timeout"), f"{endpoint.host}: no connection in time") from None
        except OSError as error:
            raise NotOpened(Outcome("fail", "refused"), f"{endpoint.host}: {error}") from error

    async def prepare(self, endpoint: Endpoint) -> None:
        """Make what the workloads need where it is missing; raises NotDone."""
        await self._on_own_link(endpoint, lambda link: link.prepare())

    async def scan(self, endpoint: Endpoint, workload: str, run_id: str) -> Scan:
        """Read all that a member holds of a run; raises NotDone."""
        return await self._on_own_link(endpoint, lambda link: link.scan(workload, run_id))

    async def close(self) -> None:
        """Do nothing: links share nothing."""

    async def _on_own_link(self, endpoint: Endpoint, work: Callable[[WorkingLink], Awaitable[_T]]) -> _T:
        """Work that is no operation, on a link of its own and with more time."""
        try:
            link = await self.open(endpoint)
        except NotOpened as error:
            raise NotDone(f"{endpoint.name}: {error}") from error
        try:
            async with asyncio.timeout(self._limits.scan_seconds):
                return await work(link)
        except TimeoutError:
            raise NotDone(f"{endpoint.name}: not done in {self._limits.scan_seconds:g} s") from None
        except (NotDone, WireError) as error:
            raise NotDone(f"{endpoint.name}: {error}") from error
        finally:
            link.close()
