"""A node that was taken away comes back: by whoever wants it, and by its watchdog whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from caplab_cluster.failure import Failure
from caplab_cluster.node_loss import watchdog
from caplab_cluster.node_loss.losses import KILL, PAUSE, STOP, NodeAction
from caplab_cluster.node_loss.recovery import GONE, bring_back, container_state
from caplab_cluster.node_loss.store import NodeLossStore
from caplab_cluster.node_loss.watchdog import watch
from caplab_cluster.paths import REPOSITORY
from support.cluster.fake_engine import ADDRESSES, FakeEngine, fake_engine
from support.cluster.lost_nodes import NODE, FakeClock, taken, unfollowed


@pytest.fixture
def fake(tmp_path: Path) -> FakeEngine:
    return fake_engine(tmp_path / "engine")


@pytest.fixture
def store(tmp_path: Path) -> NodeLossStore:
    return NodeLossStore(tmp_path / "notes")


@pytest.mark.parametrize(("way", "remedy"), [(PAUSE, "unpause"), (KILL, "start"), (STOP, "start")])
def test_a_node_is_brought_back_as_its_state_asks_for(
    fake: FakeEngine, store: NodeLossStore, way: NodeAction, remedy: str
) -> None:
    clock = FakeClock()
    loss = taken(fake, store, way, clock=clock)
    clock.sleep(4)
    over = bring_back(store, loss, clock)
    assert fake.orders()[-1] == f"{remedy} {NODE}"
    assert (over.over, over.proven, over.healed_ns) == (True, True, 4 * 10**9)  # when it was told to
    assert over.evidence[-1] == f"{remedy}: running again 4.000 s after the order"
    assert store.all() == [over]


@pytest.mark.parametrize(("way", "favoured"), [(PAUSE, False), (KILL, True)])
def test_a_node_that_is_started_goes_first_again_where_processor_time_is_short(
    fake: FakeEngine, store: NodeLossStore, way: NodeAction, favoured: bool
) -> None:
    bring_back(store, taken(fake, store, way), FakeClock())
    assert (f"update --cpu-shares 4096 {NODE}" in fake.calls()) == favoured


def test_whoever_comes_second_does_nothing(fake: FakeEngine, store: NodeLossStore) -> None:
    loss = taken(fake, store)
    over = bring_back(store, loss, FakeClock())
    done = fake.orders()
    assert bring_back(store, loss, FakeClock()) == over
    assert fake.orders() == done


def test_a_node_that_somebody_else_brought_back_proves_nothing(fake: FakeEngine, store: NodeLossStore) -> None:
    loss = taken(fake, store)
    fake.put(NODE, "running")
    over = bring_back(store, loss, FakeClock())
    assert (over.over, over.proven, over.problem) == (True, False, "it ran again too early")
    assert len(fake.orders()) == 1


def test_a_container_that_is_gone_needs_nothing_and_an_engine_that_is_silent_is_not_taken_for_that(
    fake: FakeEngine, store: NodeLossStore
) -> None:
    loss = taken(fake, store)
    fake.refuse("state")
    assert container_state(fake.engine, NODE) == ""
    with pytest.raises(Failure, match="docker does not report its state") as failed:
        bring_back(store, loss, FakeClock())
    assert failed.value.hint == f"Bring it back by hand: docker unpause {NODE}."
    assert store.live() == [loss]
    fake.refuse()
    assert container_state(fake.engine, "no-node") == GONE
    gone = bring_back(store, replace(loss, id="x", container="no-node"), FakeClock())
    assert (gone.over, gone.proven, gone.problem) == (True, False, "its container was removed")


def test_an_engine_that_refuses_is_quoted(fake: FakeEngine, store: NodeLossStore) -> None:
    loss = taken(fake, store)
    fake.refuse("unpause")
    with pytest.raises(Failure, match=r"does not come back: Cannot connect"):
        bring_back(store, loss, FakeClock())
    assert store.live() == [loss]


def test_an_order_that_nobody_follows_up_is_awaited(fake: FakeEngine, store: NodeLossStore) -> None:
    """The node still runs when it is looked at, and is paused afterwards."""
    loss = unfollowed(fake, store)
    clock = FakeClock(then=lambda seconds: fake.put(NODE, "paused") if 8 < seconds < 9 else None)
    over = bring_back(store, loss, clock)
    assert fake.state(NODE) == "running"
    assert "unpause" in fake.orders()[-1]
    assert (over.over, over.proven) == (True, False)
    assert clock.now().ns >= loss.order_ends_ns


def test_after_another_boot_the_walls_clock_counts(fake: FakeEngine, store: NodeLossStore) -> None:
    loss = taken(fake, store)
    fake.put(NODE, "exited")
    later = FakeClock("another boot")
    later.sleep(7)
    assert loss.left_seconds(later) == 3
    over = bring_back(store, loss, later)
    assert fake.state(NODE) == "running"
    assert (over.over, over.proven, over.healed_ns) == (True, False, None)
    assert over.problem == "the host has booted since"


# --- the watchdog ------------------------------------------------------------------------------------------


def test_the_watchdog_brings_a_node_back_when_it_is_due_and_not_before(fake: FakeEngine, store: NodeLossStore) -> None:
    loss = taken(fake, store, seconds=10)
    states: list[tuple[float, str]] = []
    clock = FakeClock(then=lambda seconds: states.append((seconds, fake.state(NODE))))
    watch(store, loss, clock)
    assert {state for _, state in states} == {"paused"}
    assert states[-1][0] == 10
    assert fake.state(NODE) == "running"
    assert store.live() == []


def test_the_watchdog_does_nothing_about_a_node_that_is_back(fake: FakeEngine, store: NodeLossStore) -> None:
    loss = taken(fake, store)

    def heal(seconds: float) -> None:
        if 3 < seconds < 3.3:
            bring_back(store, loss, FakeClock())
            fake.put(NODE, "exited")  # by somebody else, for another reason

    clock = FakeClock(then=heal)
    watch(store, loss, clock)
    assert clock.now().ns < 4e9
    assert fake.state(NODE) == "exited"


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("{")])
def test_a_note_that_is_lost_or_spoilt_is_no_reason_to_leave_a_node_away(
    fake: FakeEngine, store: NodeLossStore, spoil: Callable[[Path], None]
) -> None:
    loss = taken(fake, store)
    spoil(store.folder / f"{loss.id}.json")
    clock = FakeClock(then=lambda seconds: (store.folder / f"{loss.id}.json").unlink(missing_ok=True))
    watch(store, loss, clock)
    assert fake.state(NODE) == "running"


def test_the_watchdog_tries_again_where_the_engine_refuses_and_gives_up_in_the_end(
    fake: FakeEngine, store: NodeLossStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = taken(fake, store)
    fake.refuse("unpause")
    watch(store, loss, FakeClock(then=lambda seconds: fake.refuse() if seconds > 100 else None))
    assert fake.state(NODE) == "running"
    assert "does not come back" in capsys.readouterr().out
    loss = taken(fake, store)
    fake.put(NODE, "removing")
    monkeypatch.setattr(watchdog, "_GIVE_UP_SECONDS", 100.0)
    clock = FakeClock()
    watch(store, loss, clock)
    assert 110 < clock.now().ns / 1e9 < 200


def test_a_taker_that_is_stopped_does_not_stop_the_watchdog(fake: FakeEngine, store: NodeLossStore) -> None:
    """Whoever holds the lock and never lets it go; its order has come."""
    loss = unfollowed(fake, store)
    fake.put(NODE, "paused")
    with store.locked(NODE, 0):
        bring_back(store, loss, FakeClock(), timeout_seconds=0)
    assert fake.state(NODE) == "running"


def awaited(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_node_comes_back_though_its_taker_is_killed(fake: FakeEngine, store: NodeLossStore) -> None:
    """The watchdog is a process of a session of its own."""
    script = (
        "import os, pathlib, time\n"
        "from caplab_cluster.engine import ContainerEngine\n"
        "from caplab_cluster.node_loss.losses import PAUSE, take_down\n"
        "from caplab_cluster.node_loss.store import NodeLossStore\n"
        f"engine = ContainerEngine('docker', {fake.engine.path!r}, {dict(fake.engine.env)!r})\n"
        f"store = NodeLossStore(pathlib.Path({str(store.folder)!r}))\n"
        f"take_down(store, engine, {NODE!r}, PAUSE, 1, [{ADDRESSES[NODE]!r}])\n"
        "print('away', flush=True)\n"
        "time.sleep(60)\n"
    )
    taker = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "cluster")},
    )  # fmt: skip
    assert taker.stdout
    assert taker.stdout.readline() == "away\n"
    os.killpg(taker.pid, signal.SIGKILL)  # with all that it started in its own session
    taker.wait()
    taker.stdout.close()
    awaited(lambda: store.live() == [])
    assert fake.state(NODE) == "running"
    (loss,) = store.all()
    assert loss.proven
    assert loss.healed_ns
    assert loss.healed_ns - loss.injected_ns >= 1e9
