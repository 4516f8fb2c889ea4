"""A node taken away: guarded, noted, and watched over from before anything is done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from caplab_cluster.failure import Failure
from caplab_cluster.kind_cluster import CONTROL_PLANE, WORKERS
from caplab_cluster.node_loss.losses import KILL, PAUSE, RESTART, STOP, NodeAction, start_watchdog, take_down
from caplab_cluster.node_loss.store import NodeLoss, NodeLossStore
from support.cluster.fake_engine import FakeEngine, fake_engine
from support.cluster.lost_nodes import NODE, FakeClock, taken


@pytest.fixture
def fake(tmp_path: Path) -> FakeEngine:
    return fake_engine(tmp_path / "engine")


@pytest.fixture
def store(tmp_path: Path) -> NodeLossStore:
    return NodeLossStore(tmp_path / "notes")


@pytest.mark.parametrize(
    ("way", "order", "state"),
    [(PAUSE, "pause", "paused"), (STOP, "stop -t 10", "exited"), (KILL, "kill", "exited")],
)
def test_a_node_is_away_as_the_engine_shows_and_due_so_many_seconds_later(
    fake: FakeEngine, store: NodeLossStore, way: NodeAction, order: str, state: str
) -> None:
    loss = taken(fake, store, way, seconds=10)
    assert fake.orders() == [f"{order} {NODE}"]
    assert (fake.state(NODE), loss.state, loss.kind) == (state, state, way.kind)
    assert loss.proven
    assert loss.evidence == (f"container {NODE[:12]} read back as {state} 0.000 s after the order",)
    assert loss.left_seconds(FakeClock()) == 10
    assert store.all() == store.live() == [loss]
    assert fake.state(WORKERS[1]) == "running"


def test_note_and_watchdog_come_before_anything_is_done(fake: FakeEngine, store: NodeLossStore) -> None:
    observed = []

    def arm_watchdog(store: NodeLossStore, loss: NodeLoss) -> None:
        recorded = store.get(loss.id)
        assert recorded
        observed.append((fake.orders(), recorded.state, recorded.proven))
        # Even if nobody comes back to it, it is due: after all that an order may take.
        assert 10 < recorded.left_seconds(FakeClock()) < 60

    taken(fake, store, arm_watchdog=arm_watchdog)
    assert observed == [([], "", False)]


def test_without_a_watchdog_nothing_is_done(fake: FakeEngine, store: NodeLossStore) -> None:
    def arm_watchdog(store: NodeLossStore, loss: NodeLoss) -> None:
        raise Failure("no process", "hint")

    with pytest.raises(Failure, match="no process"):
        taken(fake, store, arm_watchdog=arm_watchdog)
    assert fake.orders() == []
    assert store.live() == []


def test_a_watchdog_that_ends_at_once_is_seen(
    fake: FakeEngine, store: NodeLossStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = taken(fake, store)
    monkeypatch.setattr(sys, "executable", "/no/python")
    with pytest.raises(Failure, match=f"watchdog of {NODE} did not start"):
        start_watchdog(store, loss)


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (CONTROL_PLANE, "is the control plane"),
        ("caplab-worker9", "not a worker node of the lab's cluster"),
        ("other-worker", "not a worker node of the lab's cluster"),
        ("caplab-external-load-balancer", "not a worker node of the lab's cluster"),
    ],
)
def test_only_a_worker_of_the_labs_own_cluster_is_taken(
    fake: FakeEngine, store: NodeLossStore, node: str, says: str
) -> None:
    fake.add("other-worker", cluster="other")
    fake.add("caplab-external-load-balancer", role="external-load-balancer")
    with pytest.raises(Failure, match=says) as refused:
        taken(fake, store, node=node)
    assert refused.value.hint == f"Name one of {', '.join(WORKERS)}."
    assert fake.orders() == []
    assert store.all() == []


def test_a_workers_name_alone_is_not_enough(tmp_path: Path, store: NodeLossStore) -> None:
    """A container of that name which is another cluster's, and one that is the control plane in disguise."""
    for number, labels in enumerate(({"cluster": "other"}, {"role": "control-plane"})):
        fake = fake_engine(tmp_path / str(number))
        for path in (fake.folder / NODE).iterdir():
            path.unlink()
        (fake.folder / NODE).rmdir()
        fake.add(NODE, **labels)
        with pytest.raises(Failure, match="not a worker node"):
            taken(fake, store)
        assert fake.orders() == []


def test_a_node_of_another_machine_with_the_same_name_is_refused(fake: FakeEngine, store: NodeLossStore) -> None:
    with pytest.raises(Failure, match=r"has the address 172\.18\.0\.3.* container 10\.89\.0\.3: it is not the lab's"):
        take_down(store, fake.engine, NODE, PAUSE, 10, ["172.18.0.3"], 1, FakeClock(), lambda store, loss: None)
    assert fake.orders() == []


def test_one_node_at_a_time_unless_more_are_allowed(fake: FakeEngine, store: NodeLossStore) -> None:
    taken(fake, store)
    with pytest.raises(Failure, match=f"{NODE} is away, and max_nodes is 1: {WORKERS[1]} would be one too many"):
        taken(fake, store, node=WORKERS[1])
    taken(fake, store, node=WORKERS[1], max_nodes=2)
    assert sorted(loss.node for loss in store.live()) == sorted(WORKERS[:2])
    with pytest.raises(Failure, match="max_nodes is 0"):
        taken(fake, NodeLossStore(store.folder / "others"), node=WORKERS[2], max_nodes=0)


def test_a_node_that_is_away_or_down_is_not_taken(fake: FakeEngine, store: NodeLossStore) -> None:
    fake.put(NODE, "exited")
    with pytest.raises(Failure, match="is not running: its container is exited"):
        taken(fake, store)
    fake.put(NODE, "running")
    taken(fake, store)
    with pytest.raises(Failure, match="already away: pause-node"):
        taken(fake, store, max_nodes=3)


@pytest.mark.parametrize("plant", [FakeEngine.ignore, FakeEngine.refuse])
def test_an_order_without_effect_is_no_loss_and_leaves_nothing(
    fake: FakeEngine, store: NodeLossStore, plant: Callable[..., None]
) -> None:
    plant(fake, "pause")
    with pytest.raises(Failure, match=f"docker pause of {NODE} had no effect: it is running"):
        taken(fake, store)
    (loss,) = store.all()
    assert (loss.over, loss.proven) == (True, False)
    assert fake.state(NODE) == "running"


def test_a_restart_starts_at_once_what_it_killed(fake: FakeEngine, store: NodeLossStore) -> None:
    loss = taken(fake, store, RESTART, seconds=0)
    assert fake.orders() == [f"kill {NODE}", f"start {NODE}"]
    assert (loss.over, loss.proven, loss.healed_ns) == (True, True, 0)
    assert loss.evidence[1] == "start: running again 0.000 s after the order"
    assert store.live() == []


# --- notes -------------------------------------------------------------------------------------------------


def test_a_note_is_read_as_it_was_written_and_one_that_cannot_be_is_named(
    fake: FakeEngine, store: NodeLossStore
) -> None:
    loss = taken(fake, store)
    assert store.get(loss.id) == loss
    assert store.get("another") is None
    for spoilt in ("{", "[]", '{"id": "x"}'):
        (store.folder / "spoilt.json").write_text(spoilt)
        with pytest.raises(Failure, match=r"spoilt\.json cannot be read") as failed:
            store.all()
        assert "make status" in failed.value.hint


def test_old_notes_go_and_those_of_nodes_that_are_away_stay(fake: FakeEngine, store: NodeLossStore) -> None:
    loss = taken(fake, store)
    for number in range(30):
        store.put(replace(loss, id=f"old-{number}", over=True, injected_unix_ns=number))
    store.prune()
    left = store.all()
    assert len(left) == 21
    assert left[0].id == "old-10"
    assert store.live() == [loss]
