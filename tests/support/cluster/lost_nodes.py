"""A node taken away on an engine of files, and a stopped clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from caplab_cluster.kind_cluster import WORKERS
from caplab_cluster.node_loss.losses import PAUSE, NodeAction, take_down
from caplab_cluster.node_loss.store import Clock, ClockReading, NodeLoss, NodeLossStore

from support.cluster.fake_engine import ADDRESSES, FakeEngine

NODE = WORKERS[0]


class FakeClock(Clock):
    """A clock that only sleep moves; then is called with the seconds that have passed so far."""

    def __init__(self, boot_id: str = "boot", then: Callable[[float], None] = lambda seconds: None) -> None:
        self.boot_id, self._then, self._seconds = boot_id, then, 0.0

    def now(self) -> ClockReading:
        return ClockReading(round(self._seconds * 1e9), 10**18 + round(self._seconds * 1e9))

    def sleep(self, seconds: float) -> None:
        self._seconds += seconds
        self._then(self._seconds)


def taken(
    fake: FakeEngine,
    store: NodeLossStore,
    action: NodeAction = PAUSE,
    seconds: float = 10,
    node: str = NODE,
    max_nodes: int = 1,
    clock: Clock | None = None,
    arm_watchdog: Callable[[NodeLossStore, NodeLoss], None] = lambda store, loss: None,
) -> NodeLoss:
    addresses = [ADDRESSES.get(node, "10.89.0.99")]
    return take_down(
        store, fake.engine, node, action, seconds, addresses, max_nodes, clock or FakeClock(), arm_watchdog
    )


def unfollowed(fake: FakeEngine, store: NodeLossStore) -> NodeLoss:
    """Make the record of a node whose process died while it took the node away."""
    losses: list[NodeLoss] = []

    def arm_watchdog(store: NodeLossStore, loss: NodeLoss) -> None:
        losses.append(loss)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taken(fake, store, arm_watchdog=arm_watchdog)
    return losses[0]
