"""Ends every fault at once: deletes it, waits until the agents report its end, and never calls it healed before."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from caplab.contract.names import FINALIZER
from caplab.contract.objects import Fault, TargetStatus
from caplab.kube.errors import reason_of

from .rows import ends_by_itself, unanswered

PrintLine = Callable[[str], None]
AGENT_STARTS_SECONDS = 40.0  # on a node that was down: kubelet starts it again


class Api(Protocol):
    """The API server's calls; see objects.Objects."""

    def all(self) -> Sequence[Fault]:
        """Return every Fault."""

    def delete(self, fault: Fault) -> None:
        """Delete a Fault."""

    def release(self, fault: Fault) -> None:
        """Remove the operator's finalizer from a Fault."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds in seconds."""

    agents: float = 20.0  # for the agents' reports; a restarted agent needs a moment
    operator: float = 5.0  # to remove the finalizer after that; it takes about 0.1
    look: float = 0.3  # between two looks
    progress: float = 2.0  # between two progress lines


class Healing:
    """Ends the faults that exist when it begins; a fault created meanwhile is left alone."""

    def __init__(
        self,
        api: Api,
        print_line: PrintLine,
        bounds: Bounds | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api, self._print_line, self._bounds = api, print_line, bounds or Bounds()
        self._monotonic, self._sleep = monotonic, sleep
        self._deleted: dict[str, str] = {}  # name by uid, of those that were deleted
        self._left: list[str] = []
        self._ended: dict[str, float] = {}  # by uid: since when all agents have reported it
        self._released: dict[str, str] = {}  # by uid: why that failed, or ''

    def delete_all(self) -> int:
        """Delete every Fault and return how many there were. Each agent ends its own at once."""
        faults = self._api.all()
        for fault in faults:
            if refusal := _failure_of(partial(self._api.delete, fault)):
                self._left.append(
                    f"{name_of(fault)} cannot be deleted: {refusal}. Hint: check your permissions, then repeat."
                )
            else:
                self._deleted[str(fault.metadata.uid)] = name_of(fault)
        return len(faults)

    def await_all(self, more_seconds: float = 0.0) -> list[str]:
        """Wait until they are gone, within the bounds; return a sentence with its hint for each thing that is left.

        more_seconds: for agents whose nodes were only just brought back.
        """
        started = spoken = self._monotonic()
        while there := self._remaining():
            now = self._monotonic()
            self._release(there, now)
            if self._waiting_is_over(there, now - started - more_seconds):
                break
            if now - spoken >= self._bounds.progress:
                spoken = now
                self._print_line(f"  {waited_for(there)} ... {now - started:.0f} s")
            self._sleep(self._bounds.look)
        return [*self._left, *(sentence for fault in there for sentence in self._sentences(fault))]

    def _remaining(self) -> list[Fault]:
        """Return the faults that still exist; report those that are gone."""
        there = [fault for fault in self._api.all() if str(fault.metadata.uid) in self._deleted]
        for uid in self._deleted.keys() - {str(fault.metadata.uid) for fault in there}:
            self._print_line(f"  {self._deleted.pop(uid)} has ended")
        return there

    def _release(self, there: Iterable[Fault], now: float) -> None:
        """Do the operator's part, if nothing is under the fault any more and the operator does not do it."""
        for fault in there:
            uid = str(fault.metadata.uid)
            if unanswered(fault) or not fault.has_finalizer:
                continue
            if now - self._ended.setdefault(uid, now) < self._bounds.operator:
                continue
            if uid not in self._released:
                self._print_line(
                    f"  {name_of(fault)}: no operator removes its finalizer {FINALIZER}, so this command does"
                )
            self._released[uid] = _failure_of(partial(self._api.release, fault))

    def _waiting_is_over(self, there: Iterable[Fault], seconds: float) -> bool:
        """Return whether waiting is over: for silent agents after their time, for the rest after the operator's too."""
        bounds = self._bounds
        silent = all(unanswered(fault) for fault in there)
        return seconds > bounds.agents + (0 if silent else 2 * bounds.operator)

    def _sentences(self, fault: Fault) -> list[str]:
        if refusal := self._released.get(str(fault.metadata.uid)):
            return [f"{name_of(fault)}: its finalizer stays: {refusal}. Hint: check your permissions, then repeat."]
        return what_is_left(fault, datetime.now(UTC))


def _failure_of(call: Callable[[], None]) -> str:
    """Return why a call failed, '' if it did not: each failure is reported by itself, and blocks no other call."""
    try:
        call()
    except Exception as error:
        return reason_of(error)
    return ""


def name_of(fault: Fault) -> str:
    """Return namespace and name."""
    return f"{fault.metadata.namespace}/{fault.metadata.name}"


def waited_for(left: Sequence[Fault]) -> str:
    """Describe whose report is missing. Pure."""
    nodes = sorted({str(entry.node) for fault in left for entry in unanswered(fault)})
    names = ", ".join(name_of(fault) for fault in left)
    return f"{names}: waiting for {'the agent of ' + ', '.join(nodes) if nodes else 'the operator'}"


def what_is_left(fault: Fault, now: datetime) -> list[str]:
    """Return a sentence with its hint for each node whose agent is silent; else what else holds the object. Pure."""
    silent: dict[str, list[TargetStatus]] = {}
    for entry in unanswered(fault):
        silent.setdefault(entry.node or "an unknown node", []).append(entry)
    if silent:
        return [_silent(fault, node, of_node, now) for node, of_node in sorted(silent.items())]
    others = ", ".join(fault.metadata.finalizers or ()) or "nothing"
    return [
        f"{name_of(fault)}: every agent reports that it has ended, but the object is still held by {others}."
        " Hint: have its owner remove it."
    ]


def _silent(fault: Fault, node: str, silent: Collection[TargetStatus], now: datetime) -> str:
    pods = ", ".join(entry.pod or entry.uid for entry in silent)
    return (
        f"{name_of(fault)}: the agent of node {node} does not answer for {pods}, so that the heal is not confirmed."
        f" {_by_itself(ends_by_itself(fault), now)}"
        " Hint: find out why the agent is silent (kubectl get pods -n caplab-system -o wide), then repeat."
    )


def _by_itself(ends: datetime | None, now: datetime) -> str:
    if ends is None:
        return "When it ends by itself is not known."
    at = f"{ends.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-5] + " UTC"
    if ends > now:
        return f"It ends there by itself at {at}, in {(ends - now).total_seconds():.0f} s."
    return f"It should have ended there by itself at {at}."
