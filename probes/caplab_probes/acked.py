"""What a prober knows of its own acknowledged writes, and which of them a read missed.

Only of keys with one writer: their values are versions, which grow. So a read that returns an older one than was
acknowledged before it began is stale. Other vantages' writes are not known here: it is a lower bound, live; the
checker of staleness judges over all vantages when a run is over.
"""

from __future__ import annotations

from collections import deque

from .spec import CACHE

# The workloads whose keys have one writer each.
SINGLE_WRITER = frozenset({"register", CACHE})
# Acks of a key that are remembered: those of the last 16 s at 1,000 operations a second, of minutes at usual rates.
KEPT = 256


class AckedWrites:
    """Not for two threads at once. Memory: KEPT entries a key that was written here, and no more."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._acks: dict[str, deque[tuple[int, int]]] = {}  # version, and when it was acknowledged

    def note(self, key: str, version: int, ack_ns: int) -> None:
        """Remember that a version of a key was acknowledged."""
        newest = self._newest.get(key)
        if newest is None:
            self._acks[key] = deque(maxlen=KEPT)
        if newest is None or version > newest:
            self._newest[key] = version
        self._acks[key].append((version, ack_ns))

    def missed_since(self, key: str, version: int | None, invoke_ns: int) -> int | None:
        """When the oldest write that a read missed was acknowledged; None: it missed none that is known here.

        version: what the read returned, None: nothing; invoke_ns: when it began.
        """
        newest = self._newest.get(key)
        if newest is None or (version is not None and version >= newest):
            return None
        seen = -1 if version is None else version
        return min((ack for known, ack in self._acks[key] if known > seen and ack < invoke_ns), default=None)
