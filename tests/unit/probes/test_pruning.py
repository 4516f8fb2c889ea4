"""Which runs go (pure), and that they do: oldest first, never one that is written to."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from caplab_probes.history import pruning
from caplab_probes.history.pruning import RunFolder, RunsInUse, measure, prune, surplus

A, B, C = RunFolder("a", 10, 1), RunFolder("b", 10, 2), RunFolder("c", 10, 3)


@pytest.mark.parametrize(
    ("in_use", "count", "size_bytes", "gone"),
    [
        ((), 3, 30, ()),
        ((), 2, 30, ("a",)),
        ((), 3, 29, ("a",)),
        ((), 3, 10, ("a", "b")),
        ((), 1, 10, ("a", "b")),
        (("a",), 2, 30, ("b",)),
        (("a", "b", "c"), 0, 0, ()),
    ],
)
def test_the_oldest_go_until_both_limits_are_kept(
    in_use: tuple[str, ...], count: int, size_bytes: int, gone: tuple[str, ...]
) -> None:
    assert surplus([C, A, B], in_use, count, size_bytes) == gone


def run_folder(folder: Path, name: str, changed: int, size: int = 10) -> Path:
    run = folder / name
    run.mkdir()
    for file, age in (("meta-00.json", changed - 5), ("00-00000000.arrows", changed)):
        (run / file).write_bytes(b"x" * size)
        os.utime(run / file, (age, age))
    os.utime(run, (0, 0))
    return run


def test_a_run_is_as_old_as_its_newest_file_and_takes_what_all_of_them_take(tmp_path: Path) -> None:
    run_folder(tmp_path, "r", 100, size=50_000)
    (tmp_path / "not-a-run").write_text("x")
    (run,) = measure(tmp_path)
    assert (run.name, run.changed_ns) == ("r", 100 * 10**9)
    assert 100_000 <= run.size_bytes < 120_000


def test_what_goes_is_gone_and_what_a_killed_prober_began_to_remove_too(tmp_path: Path) -> None:
    for number in range(5):
        run_folder(tmp_path, f"r{number}", 100 + number)
    (tmp_path / ".going-r9").mkdir()
    prune(tmp_path, {"r0"}, count=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r0", "r3", "r4"]


def test_what_no_prober_wrote_stays(tmp_path: Path) -> None:
    run_folder(tmp_path, "thesis", 1)
    (tmp_path / "thesis" / "chapter-1.txt").write_text("x")
    run_folder(tmp_path, "linked", 1).rename(tmp_path / ".elsewhere")
    (tmp_path / "linked").symlink_to(tmp_path / ".elsewhere")
    prune(tmp_path, set(), count=0, size_bytes=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".elsewhere", "linked", "thesis"]


def test_a_file_that_is_renamed_while_it_is_measured_is_no_trouble(tmp_path: Path) -> None:
    run = run_folder(tmp_path, "r", 100)
    (run / "00-00000001.arrows.part").symlink_to(run / "nowhere")
    assert measure(tmp_path)[0].changed_ns >= 100 * 10**9


def test_a_run_that_begins_or_is_written_to_stays_however_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "prune", lambda folder, in_use: prune(folder, in_use, count=0))

    async def scenario() -> None:
        runs = RunsInUse()
        for name in ("old", "older", "other"):
            run_folder(tmp_path, name, 1)
        async with runs.using(tmp_path, "old"), runs.using(tmp_path, "older"):
            async with runs.using(tmp_path, "old"):
                assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "older"]
            # Of two probes of one run the other still writes.
            async with runs.using(tmp_path, "new"):
                assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old", "older"]
        async with runs.using(tmp_path, "last"):
            assert [path.name for path in tmp_path.iterdir()] == ["last"]

    asyncio.run(scenario())


def test_old_runs_that_cannot_be_removed_hold_no_probe_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(folder: Path, in_use: object) -> None:
        raise PermissionError("planted")

    monkeypatch.setattr(pruning, "prune", broken)

    async def scenario() -> None:
        async with RunsInUse().using(tmp_path, "new"):
            assert (tmp_path / "new").is_dir()

    asyncio.run(scenario())
    assert "planted" in caplog.text
