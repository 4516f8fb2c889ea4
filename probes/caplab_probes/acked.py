"""What a prober knows of its own acknowledged writes, and which of them a read missed.

Only of keys with one writer: their values are versions, which grow. A read is stale if it returns a version that was
acknowledged before another one was even sent, and that one was acknowledged before the read began. What was read may
not be known as acknowledged: its write may take effect late, and nothing is said then. Other vantages' writes are not
known here either. So it is a lower bound, live; the checker of staleness judges over all vantages when a run is over.
"""

from __future__ import annotations

from collections import deque

from .spec import CACHE

# The workloads whose keys have one writer each.
SINGLE_WRITER = frozenset({"register", CACHE})
# Writes of a key that are remembered: those of the last 16 s at 1,000 operations a second, of minutes at usual rates.
WRITES_PER_KEY = 256
# Of all keys together: a cache may have thousands of them, and a write takes 190 bytes.
WRITES_IN_ALL = 32_768

# A version, and when it was sent and acknowledged, in nanoseconds. A plain tuple: one is made for each write.
_Write = tuple[int, int, int]


class AckedWrites:
    """Not for two threads at once. Memory: KEPT writes of each key, and of all KEPT_IN_ALL and one a key."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._writes: dict[str, deque[_Write]] = {}
        self._free_slots = WRITES_IN_ALL
        self._truncated: set[str] = set()  # keys of which less is remembered, since there was no room

    def note(self, key: str, version: int, invoke_ns: int, ack_ns: int) -> None:
        """Remember that a version of a key was acknowledged."""
        newest = self._newest.get(key)
        if newest is None:
            self._writes[key] = deque(maxlen=WRITES_PER_KEY)
        if newest is None or version > newest:
            self._newest[key] = version
        writes = self._writes[key]
        if len(writes) < WRITES_PER_KEY:
            self._take_slot(key, writes)
        writes.append((version, invoke_ns, ack_ns))

    def _take_slot(self, key: str, writes: deque[_Write]) -> None:
        """For one write more of a key; where there is none, in place of the oldest of that key."""
        if self._free_slots > 0:
            self._free_slots -= 1
        elif writes:
            writes.popleft()
            self._truncated.add(key)

    def missed_since(self, key: str, version: int | None, invoke_ns: int) -> int | None:
        """When the oldest write that a read surely missed was acknowledged; None: it missed none that is known here.

        version: what the read returned, None: nothing; invoke_ns: when it began.
        """
        newest = self._newest.get(key)
        if newest is None or (version is not None and version >= newest):
            return None
        writes = self._writes[key]
        after_ns = _acked_ns(writes, version, len(writes) == WRITES_PER_KEY or key in self._truncated)
        if after_ns is None:
            return None
        returned_version = -1 if version is None else version
        missed = (
            ack for other, sent, ack in writes if other > returned_version and sent > after_ns and ack < invoke_ns
        )
        return min(missed, default=None)


def _acked_ns(writes: deque[_Write], version: int | None, are_some_forgotten: bool) -> int | None:
    """When what a read returned was acknowledged: what was sent later is newer; None: nobody knows."""
    # Nothing, or what is older than all that is remembered.
    if version is None or (are_some_forgotten and version < writes[0][0]):
        return -1
    return next((ack for other, _, ack in writes if other == version), None)
