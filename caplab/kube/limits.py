"""How long a call of the API server may take: every call has these limits, and none can be left out."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """The limits of a call. ValueError for one that is not positive, or has no end.

    connect_seconds: for the connection, and for sending each part of the request. read_seconds: until all headers of
    the answer have come, with the connection, and between two pieces of the answer. whole_seconds: for the rest of the
    answer, once it has begun. retries: how often a call that changes nothing is sent again if there is no answer.
    """

    connect_seconds: float = 3.0
    read_seconds: float = 10.0
    whole_seconds: float = 60.0
    max_bytes: int = 64 << 20
    retries: int = 1

    def __post_init__(self) -> None:
        for name in ("connect_seconds", "read_seconds", "whole_seconds", "max_bytes"):
            if not (0 < getattr(self, name) < math.inf):
                raise ValueError(f"{name} is {getattr(self, name)}. Hint: every call of the API server has a limit.")
