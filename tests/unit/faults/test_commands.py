"""`caplab faults` and `caplab heal`: Faults and lost nodes together, and what is said where something is left."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from caplab_cluster.kind_cluster import WORKERS
from caplab_cluster.node_loss.losses import PAUSE, take_down
from caplab_cluster.node_loss.store import NodeLoss, NodeLossStore
from caplab_cluster.paths import Cache
from support.cluster.fake_engine import ADDRESSES, FakeEngine, fake_engine
from support.objects.fake_api_server import PRODUCTION, fake_api_server, kubeconfig
from support.objects.listed_faults import FakeLab, entry, fault

from caplab import cli
from caplab.faults import commands
from caplab.faults.healing import Bounds
from caplab.kube import context
from caplab.kube.context import CONTEXT_VARIABLE


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    monkeypatch.setenv("CAPLAB_CACHE", str(tmp_path / "cache"))
    for variable in ("KUBECONFIG", CONTEXT_VARIABLE):
        monkeypatch.setenv(variable, "")  # so that it is put back: the command sets it
        monkeypatch.delenv(variable)
    return fake_engine(tmp_path / "engine")


def lose(fake: FakeEngine, node: str = WORKERS[0]) -> NodeLoss:
    store = NodeLossStore.of(Cache.from_environment())
    return take_down(store, fake.engine, node, PAUSE, 60, [ADDRESSES[node]], 3, arm_watchdog=lambda store, loss: None)


def with_api(monkeypatch: pytest.MonkeyPatch, lab: FakeLab | Exception) -> None:
    def api() -> FakeLab:
        if isinstance(lab, Exception):
            raise lab
        return lab

    monkeypatch.setattr(commands, "_api", api)


QUICK = Bounds(agents=0.2, operator=0.05, look=0.01, progress=0.05)


@pytest.mark.usefixtures("fake")
def test_nothing_is_live(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with_api(monkeypatch, FakeLab(fault(entry(state="Healed"), phase="Healed")))
    assert cli.main(["faults"]) == 0
    assert capsys.readouterr().out == "nothing is live\n"
    assert cli.main(["faults", "--all"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["lab", "f"]


def test_faults_and_lost_nodes_are_listed(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lose(fake)
    with_api(monkeypatch, FakeLab(fault(entry())))
    assert cli.main(["faults"]) == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert "kill" in first
    assert "pause-node" in second
    assert f"node {WORKERS[0]}" in second


def test_lost_nodes_are_listed_without_an_api_server_and_nothing_is_said_of_what_is_not_known(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_api(monkeypatch, ConnectionError("connection refused"))
    assert cli.main(["faults"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("FAILED: The list of Faults is not known: connection refused. Hint: ")
    lose(fake)
    assert cli.main(["faults"]) == 3
    assert "pause-node" in capsys.readouterr().out


def test_heal_ends_faults_and_brings_nodes_back(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_api(monkeypatch, FakeLab(fault(entry())))
    lose(fake)
    assert cli.main(["heal"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 Fault deleted",
        f"1 lost node: {WORKERS[0]}",
        f"  node {WORKERS[0]}: runs again",
        "  lab/f has ended",
        "everything has ended",
    ]
    assert fake.state(WORKERS[0]) == "running"
    assert cli.main(["heal"]) == 0
    assert capsys.readouterr().out.splitlines() == ["0 Faults deleted", "0 lost nodes", "everything has ended"]


def test_heal_brings_nodes_back_without_an_api_server_and_says_what_it_does_not_know(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(fake)
    with_api(monkeypatch, ConnectionError("connection refused"))
    lines: list[str] = []
    left: list[str] = []
    assert commands.heal(lines.append, left.append, QUICK) == 3
    assert fake.state(WORKERS[0]) == "running"
    assert lines[-1] == "whether everything has ended is not known"
    assert left[0].startswith("LEFT: The list of Faults is not known: connection refused. Hint:")


@pytest.mark.usefixtures("fake")
def test_an_api_server_that_falls_silent_in_the_midst_leaves_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = FakeLab(fault(entry()))
    with_api(monkeypatch, lab)
    left: list[str] = []

    def say(line: str) -> None:
        monkeypatch.setattr(lab, "all", lambda: (_ for _ in ()).throw(ConnectionError("reset")))

    assert commands.heal(say, left.append, QUICK) == 3
    assert left[0].startswith("LEFT: Whether the Faults have ended is not known: reset.")


def test_a_node_that_stays_away_and_a_silent_agent_are_left(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(fake)
    fake.refuse("unpause")
    monkeypatch.setattr("caplab_cluster.node_loss.recovery._BACK_SECONDS", 0.2)
    monkeypatch.setattr(commands, "AGENT_STARTS_SECONDS", 0.0)
    with_api(monkeypatch, FakeLab(fault(entry()), silent=[WORKERS[0]]))
    left: list[str] = []
    assert commands.heal(lambda line: None, left.append, QUICK) == 3
    assert f"The node {WORKERS[0]} does not come back" in left[0]
    assert "Hint: Bring it back by hand" in left[0]
    assert f"the agent of node {WORKERS[0]} does not answer for pg-0" in left[1]


def test_a_note_that_cannot_be_read_is_named_by_both(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    store = NodeLossStore.of(Cache.from_environment())
    store.put(replace(lose(fake), id="spoilt", over=True))
    (store.folder / "spoilt.json").write_text("{")
    with_api(monkeypatch, FakeLab())
    problems: list[str] = []
    assert commands.faults(False, lambda line: None, problems.append) == 3
    assert commands.heal(lambda line: None, problems.append, QUICK) == 3
    assert all("spoilt.json cannot be read" in line and "Hint: Check that the nodes" in line for line in problems)


@pytest.mark.usefixtures("fake")
def test_an_interrupt_says_what_becomes_of_what_was_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "heal", interrupt)
    assert cli.main(["heal"]) == 3
    assert "interrupted: the faults that were told to end" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["faults", "heal"])
@pytest.mark.usefixtures("fake")
def test_both_use_the_labs_cluster_unless_another_context_is_named(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A context that is not that of a kind cluster is refused unless it is named, as for `caplab run`."""
    own = Cache.from_environment().kubeconfig
    own.parent.mkdir(parents=True)
    monkeypatch.setattr(context, "_pinned", None)
    with fake_api_server() as api:
        api.providers = PRODUCTION
        kubeconfig(own.parent, "prod", prod=api.address).rename(own)
        assert cli.main([command]) == 3
        assert os.environ["KUBECONFIG"] == str(own)
        refused = capsys.readouterr().err
        assert "'prod' is not that of a kind cluster" in refused
        assert refused.count("Hint:") == 1
        assert cli.main([command, "--context", "prod"]) == 0
    assert os.environ[CONTEXT_VARIABLE] == "prod"
    assert "'prod' is not that of a kind cluster" not in capsys.readouterr().err
