"""The structure of the code: modules of one idea, and folders of few modules."""

from __future__ import annotations

from pathlib import Path

from caplab_cluster.paths import REPOSITORY

MOST_LINES = 400
MOST_MODULES = 20  # of one folder
MOST_TEST_MODULES = 30
ROOMS = ("caplab", "cluster", "dashboards", "experiments", "operator", "probes")
UNIT_TESTS = ("tests/unit", "tests/support")


def long_modules(root: Path, rooms: tuple[str, ...] = ROOMS) -> list[str]:
    """Name the modules that hold more than one idea, as far as lines tell."""
    return [f"{file.relative_to(root)}: {lines} lines" for file in _modules(root, rooms)
            if (lines := len(file.read_text().splitlines())) > MOST_LINES]  # fmt: skip


def flat_folders(root: Path, rooms: tuple[str, ...], most: int) -> list[str]:
    """Name the folders that need packages of their own."""
    folders = {file.parent for file in _modules(root, rooms)}
    counts = {folder: len(list(folder.glob("*.py"))) for folder in sorted(folders)}
    return [f"{folder.relative_to(root)}: {count} modules" for folder, count in counts.items() if count > most]


def _modules(root: Path, rooms: tuple[str, ...]) -> list[Path]:
    return [file for room in rooms for file in sorted((root / room).rglob("*.py"))]


def test_no_module_is_longer_than_one_idea_needs() -> None:
    assert long_modules(REPOSITORY) == []


def test_no_folder_is_flat() -> None:
    assert flat_folders(REPOSITORY, ROOMS, MOST_MODULES) == []
    assert flat_folders(REPOSITORY, UNIT_TESTS, MOST_TEST_MODULES) == []


def test_a_long_module_and_a_flat_folder_are_caught(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    for number in range(20):
        (tmp_path / "room" / f"module_{number}.py").write_text("pass\n" * 400)
    assert long_modules(tmp_path, ("room",)) == []
    assert flat_folders(tmp_path, ("room",), 20) == []
    (tmp_path / "room" / "one_more.py").write_text("pass\n" * 401)
    assert long_modules(tmp_path, ("room",)) == ["room/one_more.py: 401 lines"]
    assert flat_folders(tmp_path, ("room",), 20) == ["room: 21 modules"]
