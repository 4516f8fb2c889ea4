"""A load: a request to the database behind a cache, as the history records it."""

from __future__ import annotations

from dataclasses import dataclass

from ..links import Result


@dataclass(frozen=True, slots=True)
class Load:
    """Times are in monotonic nanoseconds. A fail by timeout was answered, but after its reader had stopped waiting."""

    key: str
    invoke_ns: int
    return_ns: int
    result: Result
