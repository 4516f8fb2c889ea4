"""Records of lost nodes on this host: a file each, which outlives the process that took the node."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..failure import Failure
from ..machine.processes import is_running, this_process
from ..paths import Cache

_RECORDS_KEPT = 20  # records of losses that are over; older ones are removed
_TRY_SECONDS = 0.05  # between two attempts to get a lock
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class ClockReading:
    """One moment on both clocks, in nanoseconds: CLOCK_MONOTONIC, and since 1970."""

    ns: int
    unix_ns: int


class Clock:
    """The host's clocks; boot_id: the boot that the monotonic one counts from, '' if unknown."""

    def __init__(self) -> None:
        self.boot_id = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""

    def now(self) -> ClockReading:
        """Read both clocks."""
        return ClockReading(time.clock_gettime_ns(time.CLOCK_MONOTONIC), time.time_ns())

    def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLoss:
    """A node that is taken away for a bounded time; recorded before anything is done to it.

    kind: pause-node, stop-node, kill-node or restart-node. container: the engine's id of it. engine, path and env: how
    the engine is called. Times are of this host's boot boot_id. injected_ns: right before the order. order_ends_ns:
    until then an order may still take effect if its process has died. due_ns: when the node is brought back. state: as
    the engine showed it after the order, '' while unknown. over: the node is back, or gone. healed_ns: when it was
    ordered to run again, None if unknown. problem: why it proves nothing. run, taker: the run and the process that took
    it, '' if unknown.
    """

    id: str
    node: str
    container: str
    kind: str
    seconds: float
    engine: str
    path: str
    env: Mapping[str, str]
    boot_id: str
    injected_ns: int
    injected_unix_ns: int
    order_ends_ns: int
    due_ns: int
    due_unix_ns: int
    state: str = ""
    over: bool = False
    healed_ns: int | None = None
    evidence: tuple[str, ...] = ()
    problem: str = ""
    run: str = ""
    taker: str = ""

    @property
    def proven(self) -> bool:
        """Whether the engine showed that the node was away, and for as long as it was meant to be."""
        return bool(self.state) and not self.problem

    def is_under_way(self, clock: Clock | None = None) -> bool:
        """Return whether another process will still bring it back; until due if the taker is unknown."""
        clock = clock or Clock()
        if self.over or clock.boot_id != self.boot_id:
            return False
        if not self.taker:
            return self.left_seconds(clock) > 0
        return self.taker != this_process() and is_running(self.taker)

    def left_seconds(self, clock: Clock) -> float:
        """Return the seconds until it is due; below 0 if it should be over."""
        now = clock.now()
        if clock.boot_id == self.boot_id:
            return (self.due_ns - now.ns) / 1e9
        return (self.due_unix_ns - now.unix_ns) / 1e9  # the host has booted since

    def may_still_be_ordered(self, clock: Clock) -> bool:
        """Return whether an order may be under way that no process waits for any more."""
        return not self.state and clock.boot_id == self.boot_id and clock.now().ns < self.order_ends_ns

    def due_in(self, seconds: float, clock: Clock) -> NodeLoss:
        """Return the loss with a new due time, so many seconds from now."""
        now, ahead_ns = clock.now(), round(seconds * 1e9)
        return replace(self, due_ns=now.ns + ahead_ns, due_unix_ns=now.unix_ns + ahead_ns)

    def to_json(self) -> dict[str, Any]:
        """Return a plain dict, as its file keeps it; proven is in it for the file's readers."""
        return {**asdict(self), "env": dict(self.env), "evidence": list(self.evidence), "proven": self.proven}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> NodeLoss:
        """Read what to_json returns. Raises TypeError or KeyError for anything else."""
        with_defaults = {
            "run": "",
            "taker": "",
            **value,
        }  # records of an earlier version do not say which process took it
        values = {field.name: with_defaults[field.name] for field in fields(cls)}
        return cls(**{**values, "evidence": tuple(value["evidence"])})


@dataclass(frozen=True, slots=True)
class NodeLossStore:
    """The records of one cache, a file each."""

    folder: Path

    @classmethod
    def of(cls, cache: Cache) -> NodeLossStore:
        """Return the store of a cache, beside what else is known of the lab's cluster."""
        return cls(cache.cluster / "lost-nodes")

    def all(self) -> list[NodeLoss]:
        """Return every recorded loss, the oldest first. Raises Failure if a record cannot be read."""
        losses = [loss for path in self.folder.glob("*.json") if (loss := _read(path))]
        return sorted(losses, key=lambda loss: loss.injected_unix_ns)

    def live(self) -> list[NodeLoss]:
        """Return the losses that are not over."""
        return [loss for loss in self.all() if not loss.over]

    def get(self, id_: str) -> NodeLoss | None:
        """Return the loss of an id; None if it has no record."""
        return _read(self._file(id_))

    def put(self, loss: NodeLoss) -> None:
        """Write a record, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self._file(loss.id).with_suffix(".draft")
        draft.write_text(json.dumps(loss.to_json(), indent=1) + "\n")
        draft.replace(self._file(loss.id))

    def prune(self) -> None:
        """Remove the oldest records of losses that are over."""
        over = [loss for loss in self.all() if loss.over]
        for loss in over[: max(0, len(over) - _RECORDS_KEPT)]:
            self._file(loss.id).unlink(missing_ok=True)

    @contextmanager
    def locked(self, name: str, timeout_seconds: float) -> Iterator[bool]:
        """Hold a lock, which ends with its process; False if it was not free in time: its holder may be stopped."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{name}.lock").open("a") as file:
            yield _lock(file.fileno(), timeout_seconds)

    def _file(self, id_: str) -> Path:
        return self.folder / f"{id_}.json"


def _lock(file: int, timeout_seconds: float) -> bool:
    end = time.monotonic() + timeout_seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(_TRY_SECONDS)
        else:
            return True


def _read(path: Path) -> NodeLoss | None:
    try:
        return NodeLoss.from_json(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Failure(
            f"The record of a lost node {path} cannot be read: {error!r}.",
            "Check that the nodes are running (make status), then remove the file.",
        ) from error
