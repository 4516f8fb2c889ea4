"""A load: what the database behind a cache was asked for, as the history has it."""

from __future__ import annotations

from dataclasses import dataclass

from ..links import Result


@dataclass(frozen=True, slots=True)
class Load:
    """Times in monotonic nanoseconds; a result that is a fail by timeout was there, and nobody waited any more."""

    key: str
    invoke_ns: int
    return_ns: int
    result: Result
