"""What the workload cache is given, and what it records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..links import Result, Topology


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """A cluster's login (as links.ClientFactory takes it) and its endpoints as last seen."""

    login: Mapping[str, str]
    topology: Callable[[], Topology]


@dataclass(frozen=True, slots=True)
class Load:
    """A request to the database behind a cache, as the history records it.

    Times are in monotonic nanoseconds. A fail by timeout was answered, but after its reader had stopped waiting.
    """

    key: str
    invoke_ns: int
    return_ns: int
    result: Result
