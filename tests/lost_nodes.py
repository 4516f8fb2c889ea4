"""A node taken away on an engine of files, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from caplab_cluster.kind_cluster import WORKERS
from caplab_cluster.node_loss import PAUSE, Way, take
from caplab_cluster.node_notes import Clock, Loss, Moment, Notes
from fake_engine import ADDRESSES, FakeEngine

NODE = WORKERS[0]


class FakeClock(Clock):
    """Stands still but for sleep; then is called with the seconds that have passed so far."""

    def __init__(self, boot_id: str = "boot", then: Callable[[float], None] = lambda seconds: None) -> None:
        self.boot_id, self._then, self._seconds = boot_id, then, 0.0

    def now(self) -> Moment:
        return Moment(round(self._seconds * 1e9), 10**18 + round(self._seconds * 1e9))

    def sleep(self, seconds: float) -> None:
        self._seconds += seconds
        self._then(self._seconds)


def taken(
    fake: FakeEngine,
    notes: Notes,
    way: Way = PAUSE,
    seconds: float = 10,
    node: str = NODE,
    max_nodes: int = 1,
    clock: Clock | None = None,
    arm: Callable[[Notes, Loss], None] = lambda notes, loss: None,
) -> Loss:
    addresses = [ADDRESSES.get(node, "10.89.0.99")]
    return take(notes, fake.engine, node, way, seconds, addresses, max_nodes, clock or FakeClock(), arm)


def unfollowed(fake: FakeEngine, notes: Notes) -> Loss:
    """The note of a node whose taker died while it gave the order."""
    losses: list[Loss] = []

    def arm(notes: Notes, loss: Loss) -> None:
        losses.append(loss)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taken(fake, notes, arm=arm)
    return losses[0]
