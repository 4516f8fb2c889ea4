"""Witnesses of the queue checker: for each kind of anomaly some elements, with the operations on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from caplab.check.columns import Integers, Mask, among, integers
from caplab.check.finding import Context
from caplab.check.versions import key_codes
from caplab.check.witness import MAX_WITNESSES, shares, witness
from caplab.model.fields import Json
from caplab.model.history import Table
from caplab.nouns import counted

from .deliveries import Deliveries
from .losses import Missing
from .operations import Operations
from .order import Overtaken, Stays

_Proof = tuple[str, list[int]]  # a sentence, and rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomalies:
    """Everything that was found."""

    deliveries: Deliveries
    missing: Missing
    stays: Stays
    overtaken: Overtaken


def witnesses(history: Table, context: Context, operations: Operations, anomalies: Anomalies) -> list[Json]:
    """Show at most MAX_WITNESSES witnesses in all, some for every kind of anomaly that occurs."""
    proofs = _Proofs(history, operations, anomalies)
    kinds = (proofs.lost(), proofs.unexpected(), proofs.duplicated(), proofs.shown_again(), proofs.overtaken())
    shown = shares([len(of_kind) for of_kind in kinds])
    chosen = [proof for of_kind, count in zip(kinds, shown, strict=True) for proof in of_kind[:count]]
    return [witness(history, what, rows, context) for what, rows in chosen]


@dataclass(frozen=True, slots=True)
class _Proofs:
    """The proofs of each kind, at most MAX_WITNESSES."""

    history: Table
    operations: Operations
    anomalies: Anomalies

    def lost(self) -> list[_Proof]:
        """Show each element that nothing can have taken, and of each queue the first that are too many for takers."""
        missing = self.anomalies.missing
        proofs: list[_Proof] = []
        told: set[int] = set()
        for place in missing.lost.tolist():
            key, takers = int(missing.key[place]), int(missing.takers[place])
            if len(proofs) == MAX_WITNESSES or (takers and key in told):
                continue
            proofs.append(self._lost_with(place, key, takers) if takers else self._lost_alone(place))
            told |= {key} if takers else set()
        return proofs

    def _lost_alone(self, place: int) -> _Proof:
        missing = self.anomalies.missing
        enqueue, proof = int(self.operations.enqueues.row[missing.enqueue[place]]), int(missing.proof[place])
        acked, delivered = self._accounts(enqueue)
        if len(acked) == 1:
            what = f"{self._element(enqueue)} was enqueued and not dequeued, and {self._gone(proof)}."
        else:
            times = f"{counted(len(acked), 'time')} and delivered {counted(len(delivered), 'time')}"
            what = f"{self._element(enqueue)} was enqueued {times}, and {self._gone(proof)}."
        return what, [*acked, *delivered, proof]

    def _lost_with(self, place: int, key: int, takers: int) -> _Proof:
        missing = self.anomalies.missing
        here = np.flatnonzero(missing.key[: place + 1] == key)
        some = self.operations.takers
        may = np.flatnonzero((some.key == key) & (some.invoke_ns <= missing.gone_ns[place]))
        enqueues = self.operations.enqueues.row[missing.enqueue[here]].tolist()
        accounts = {row for enqueue in enqueues for rows in self._accounts(enqueue) for row in rows}
        what = (
            f"{len(enqueues):,} elements{self._of(enqueues[0])} were enqueued, and are gone; only"
            f" {counted(takers, 'dequeue')} of unknown outcome may have taken one each."
        )
        return what, [*accounts, *some.row[may].tolist(), *np.unique(missing.proof[here]).tolist()]

    def _gone(self, row: int) -> str:
        is_scan = among(self.history, "op", ["scan"])[row]
        return "a scan begun later does not show it" if is_scan else "the queue was found empty later"

    def _accounts(self, row: int) -> tuple[list[int], list[int]]:
        """Return the rows of all acked enqueues of a row's element, and of all its deliveries."""
        enqueues, deliveries = self.operations.enqueues, (self.operations.dequeues, self.operations.shown)
        acked = enqueues.row[enqueues.ok]
        delivered = [rows.row[self._same(rows.row, row)] for rows in deliveries]
        return acked[self._same(acked, row)].tolist(), np.concatenate(delivered).tolist()

    def unexpected(self) -> list[_Proof]:
        """Show what was delivered without being enqueued by then, with any enqueues of it."""
        proofs = []
        for row in self.anomalies.deliveries.unexpected[:MAX_WITNESSES].tolist():
            later, refused = self._enqueues(row)
            why = "before it was enqueued" if later else "though it was never enqueued"
            why = "though its enqueue surely failed" if refused and not later else why
            sooner = self._dequeues(row) if later else []
            why = f"{len(sooner):,} times in all, before it was enqueued so often" if len(sooner) > 1 else why
            what = f"{self._element(row)} was {self._delivered(row)}, {why}."
            proofs.append((what, [*later, *refused, *sooner, row]))
        return proofs

    def duplicated(self) -> list[_Proof]:
        """Show what was dequeued more often than it was enqueued, with all of its enqueues and dequeues up to then."""
        proofs = []
        for row in self.anomalies.deliveries.duplicated[:MAX_WITNESSES].tolist():
            enqueues, _ = self._enqueues(row)
            dequeues = self._dequeues(row)
            what = (
                f"{self._element(row)} was dequeued {counted(len(dequeues), 'time')},"
                f" and enqueued {'once' if len(enqueues) == 1 else counted(len(enqueues), 'time')}."
            )
            proofs.append((what, [*enqueues, *dequeues]))
        return proofs

    def shown_again(self) -> list[_Proof]:
        """Show what a scan still found after all copies had been dequeued, with all operations on it."""
        proofs = []
        for row in self.anomalies.deliveries.shown_again[:MAX_WITNESSES].tolist():
            enqueues, _ = self._enqueues(row)
            shown, scan = self.operations.shown, self.operations.shown_in
            place = np.flatnonzero(shown.row == row)[0]
            copies = shown.row[(shown.element == shown.element[place]) & (scan == scan[place])].tolist()
            dequeues = self._dequeues(row, int(shown.invoke_ns[place]))
            what = f"{self._element(row)} had been dequeued when a scan began that shows it."
            if len(copies) > 1:
                what = f"{self._element(row)} is more often in one scan than it was enqueued and not dequeued."
            proofs.append((what, [*enqueues, *dequeues, *copies]))
        return proofs

    def overtaken(self) -> list[_Proof]:
        """Show what left late, and what was enqueued after it and dequeued before."""
        stays, over = self.anomalies.stays, self.anomalies.overtaken
        proofs = []
        for late, other in zip(over.late[:MAX_WITNESSES].tolist(), over.other[:MAX_WITNESSES].tolist(), strict=True):
            rows = [int(row) for place in (late, other) for row in (stays.enqueue[place], stays.leave[place])]
            value = int(integers(self.history, "value", 0)[rows[2]])
            left = "left it" if stays.left[late] else "is still there"
            left = left if rows[1] >= 0 else "was not dequeued even"
            what = f"{self._element(rows[0])} {left} after {value}, which was enqueued later, had been dequeued."
            proofs.append((what, rows))
        return proofs

    def _element(self, row: int) -> str:
        return f"{integers(self.history, 'value', 0)[row]}{self._of(row)}"

    def _of(self, row: int) -> str:
        key = self.history.column("key")[row].as_py()
        return f" of queue '{key}'" if key else ""

    def _delivered(self, row: int) -> str:
        return "in a scan" if among(self.history, "op", ["scan"])[row] else "dequeued"

    def _enqueues(self, row: int) -> tuple[list[int], list[int]]:
        """Return the rows of all enqueues of a row's element: those that may have taken effect, and the others."""
        rows = np.concatenate((self.operations.enqueues.row, self.operations.refused))
        rows = rows[self._same(rows, row)]
        refused = np.isin(rows, self.operations.refused)
        return rows[~refused].tolist(), rows[refused].tolist()

    def _dequeues(self, row: int, before_ns: int | None = None) -> list[int]:
        """Return the dequeues of a row's element that had returned by its return, or before a moment."""
        dequeues = self.operations.dequeues
        place = np.flatnonzero(self._same(dequeues.row, row))
        if before_ns is None:
            end_ns = dequeues.return_ns[dequeues.row == row]
            return [int(each) for each in dequeues.row[place[dequeues.return_ns[place] <= end_ns]]]
        return [int(each) for each in dequeues.row[place[dequeues.return_ns[place] < before_ns]]]

    def _same(self, rows: Integers, row: int) -> Mask:
        key, value = key_codes(self.history)[0], integers(self.history, "value", 0)
        return np.asarray((key[rows] == key[row]) & (value[rows] == value[row]))
