"""One fault's table in one pod's network namespace, which nft creates, changes, prints and deletes."""

from __future__ import annotations

from ...commands import ProgramResult
from .netns import Namespace, Namespaces
from .rules import (
    GRACE_MS,
    DropAddresses,
    DropCounters,
    change_addresses,
    create_table,
    parse_table,
    replace_table,
    table_name,
)

_ABSENT, _EXISTS = "No such file or directory", "File exists"  # nft's words
# A shell, as nft itself cannot print and delete in one call: one program fewer to wait for.
_PRINT_AND_DELETE = ("sh", "-c", 'nft list table inet "$0" && nft delete table inet "$0"')


class NftFailed(OSError):
    """A failure of nft; the message quotes it."""


class DropTables:
    """The tables of this node's pods. All methods raise ProcessMoved, NftFailed, OSError."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    def put(self, namespace: Namespace, fault_uid: str, drops: DropAddresses, seconds: float) -> None:
        """Drop these addresses for so many seconds plus the grace, instead of those that the fault dropped before."""
        ms = _milliseconds(seconds)
        result = self._nft(namespace, create_table(fault_uid, drops, ms))
        if result.code and _EXISTS in result.err:
            result = self._nft(namespace, replace_table(fault_uid, drops, ms))
        _absent(result, "created")

    def change(self, namespace: Namespace, fault_uid: str, drops: DropAddresses, seconds: float) -> bool:
        """Drop these addresses from now on and keep the counters; False: the table does not exist."""
        return not _absent(self._nft(namespace, change_addresses(fault_uid, drops, _milliseconds(seconds))), "changed")

    def read(self, namespace: Namespace, fault_uid: str) -> DropCounters | None:
        """Read the table's counters; None: the table does not exist."""
        result = self._namespaces.run(namespace, ("nft", "list", "table", "inet", table_name(fault_uid)))
        return None if _absent(result, "read") else parse_table(result.out)

    def remove(self, namespace: Namespace, fault_uid: str) -> DropCounters | None:
        """Delete this fault's table and return its counters; None: it did not exist."""
        result = self._namespaces.run(namespace, (*_PRINT_AND_DELETE, table_name(fault_uid)))
        return None if _absent(result, "deleted") else parse_table(result.out)

    def _nft(self, namespace: Namespace, transaction: str) -> ProgramResult:
        return self._namespaces.run(namespace, ("nft", "-f", "-"), transaction)


def _absent(result: ProgramResult, done: str) -> bool:
    if not result.code:
        return False
    if _ABSENT in result.err and done != "created":
        return True
    raise NftFailed(f"the rule table could not be {done}: {result.reason}")


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000)) + GRACE_MS
