"""The history quota: a probe whose history does not fit the volume is refused, with the arithmetic.

A full emptyDir is worse than a load that does not begin: the kubelet evicts the pod, and all histories are lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from caplab.contract.bounds import ELEMENT_BYTES, HISTORY_QUOTA_BYTES, MICRO_OP_BYTES, ROW_BYTES
from caplab.contract.objects import CACHE
from caplab.model.bounds import in_words

from ..load.transactions import TXN
from ..spec import DEFAULT_TRANSACTIONS, ProbeSpec


class QuotaExceeded(ValueError):
    """A history that does not fit; the message is the arithmetic, and the hint."""


@dataclass(slots=True, eq=False)
class Reservation:
    """What a probe has reserved of the quota, and what it has taken. Two of the same size are two reservations."""

    quota: HistoryQuota
    reserved_bytes: int
    row_bytes: int = ROW_BYTES
    rows: int = 0

    @property
    def size_bytes(self) -> int:
        """The bytes that it takes, or is to take."""
        return max(self.reserved_bytes, self.rows * self.row_bytes)

    def note_rows(self, rows: int) -> None:
        """Note how many rows it has by now. Raises QuotaExceeded if the quota is used up."""
        self.rows = rows
        if rows * self.row_bytes > self.reserved_bytes and self.quota.taken_bytes() > self.quota.size_bytes:
            raise QuotaExceeded(
                f"{rows:,} rows of {self.row_bytes} bytes are {in_words(rows * self.row_bytes)}, and with other"
                f" probes' the {in_words(self.quota.size_bytes)} for runs under way are used up."
                " Hint: lower rate, or set seconds."
            )


class HistoryQuota:
    """The bytes for the runs that this process' probes write; for one event loop."""

    def __init__(self, size_bytes: int = HISTORY_QUOTA_BYTES) -> None:
        self.size_bytes = size_bytes
        self._reservations: list[Reservation] = []

    def taken_bytes(self) -> int:
        """Return what all probes take, or are to take."""
        return sum(reservation.size_bytes for reservation in self._reservations)

    @contextmanager
    def reserve(self, spec: ProbeSpec) -> Iterator[Reservation]:
        """Reserve bytes for a probe while it runs. Raises QuotaExceeded if its history would not fit.

        A probe without an end gets what is left.
        """
        taken, wanted = self.taken_bytes(), needed_bytes(spec)
        if taken + wanted > self.size_bytes:
            others = f", of which other probes have {in_words(taken)}" if taken else ""
            raise QuotaExceeded(
                f"rate {spec.rate:g} * {spec.seconds or 0:g} s * {_rows_each(spec)} row * {row_bytes(spec)} bytes are"
                f" {in_words(wanted)}, and the prober's volume has {in_words(self.size_bytes)} for runs under"
                f" way{others}. Hint: lower rate or seconds."
            )
        reservation = Reservation(self, wanted, row_bytes(spec))
        self._reservations.append(reservation)
        try:
            yield reservation
        finally:
            self._reservations.remove(reservation)


def needed_bytes(spec: ProbeSpec) -> int:
    """Return the bytes of a probe's complete history; 0 if it has no end in time, or is a scan."""
    if spec.seconds is None or spec.workload.endswith("-scan"):
        return 0
    return round(spec.rate * spec.seconds * _rows_each(spec) * row_bytes(spec))


def row_bytes(spec: ProbeSpec) -> int:
    """Return the bytes of a row: a transaction's has its micro-operations, and the lists that they read."""
    if spec.workload != TXN:
        return ROW_BYTES
    settings = spec.transactions or DEFAULT_TRANSACTIONS
    return ROW_BYTES + settings.operations * (MICRO_OP_BYTES + ELEMENT_BYTES * settings.writes_per_key)


def _rows_each(spec: ProbeSpec) -> int:
    return 2 if spec.workload == CACHE else 1  # a read, and perhaps its load
