"""The structure of the code: modules of one idea, folders of few modules, and classes that are built by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from caplab_cluster.paths import REPOSITORY

MAX_LINES = 400
MAX_MODULES = 20  # of one folder
MAX_TEST_MODULES = 30
MAX_POSITIONAL_FIELDS = 4  # fields of a dataclass that is built without their names
PARTS = ("caplab", "cluster", "dashboards", "experiments", "operator", "probes")
UNIT_TESTS = ("tests/unit", "tests/support")


def long_modules(root: Path, parts: tuple[str, ...] = PARTS) -> list[str]:
    """Name the modules that hold more than one idea, as far as lines tell."""
    return [f"{file.relative_to(root)}: {lines} lines" for file in _modules(root, parts)
            if (lines := len(file.read_text().splitlines())) > MAX_LINES]  # fmt: skip


def flat_folders(root: Path, parts: tuple[str, ...], most: int) -> list[str]:
    """Name the folders that need packages of their own."""
    folders = {file.parent for file in _modules(root, parts)}
    counts = {folder: len(list(folder.glob("*.py"))) for folder in sorted(folders)}
    return [f"{folder.relative_to(root)}: {count} modules" for folder, count in counts.items() if count > most]


def built_by_position(source: str) -> list[str]:
    """Name the dataclasses with many fields whose callers may leave the names out."""
    classes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef))
    return [node.name for node in classes if _is_by_position(node) and len(list(_fields(node))) > MAX_POSITIONAL_FIELDS]


def _modules(root: Path, parts: tuple[str, ...]) -> list[Path]:
    return [file for part in parts for file in sorted((root / part).rglob("*.py"))]


def _is_by_position(node: ast.ClassDef) -> bool:
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        if ast.unparse(call.func if call else decorator).rpartition(".")[2] == "dataclass":
            return not any(keyword.arg == "kw_only" for keyword in (call.keywords if call else ()))
    return False


def _fields(node: ast.ClassDef) -> Iterator[ast.AnnAssign]:
    """Yield the annotated names that its constructor takes."""
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign) or "ClassVar" in ast.unparse(statement.annotation):
            continue
        keywords = statement.value.keywords if isinstance(statement.value, ast.Call) else []
        if not any(keyword.arg == "init" for keyword in keywords):
            yield statement


def test_no_module_is_longer_than_one_idea_needs() -> None:
    assert long_modules(REPOSITORY) == []


def test_no_folder_is_flat() -> None:
    assert flat_folders(REPOSITORY, PARTS, MAX_MODULES) == []
    assert flat_folders(REPOSITORY, UNIT_TESTS, MAX_TEST_MODULES) == []


@pytest.mark.parametrize("part", [*PARTS, "bench", "tests"])
def test_dataclasses_with_many_fields_are_built_by_name(part: str) -> None:
    by_position = {file: built_by_position(file.read_text()) for file in _modules(REPOSITORY, (part,))}
    assert {str(file.relative_to(REPOSITORY)): names for file, names in by_position.items() if names} == {}


def test_a_long_module_and_a_flat_folder_are_caught(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    for number in range(20):
        (tmp_path / "part" / f"module_{number}.py").write_text("pass\n" * 400)
    assert long_modules(tmp_path, ("part",)) == []
    assert flat_folders(tmp_path, ("part",), 20) == []
    (tmp_path / "part" / "one_more.py").write_text("pass\n" * 401)
    assert long_modules(tmp_path, ("part",)) == ["part/one_more.py: 401 lines"]
    assert flat_folders(tmp_path, ("part",), 20) == ["part: 21 modules"]


@pytest.mark.parametrize(
    ("decorator", "caught"),
    [
        ("@dataclass", True),
        ("@dataclass(frozen=True, slots=True)", True),
        ("@dataclasses.dataclass(frozen=True)", True),
        ("@dataclass(kw_only=True)", False),
        ("@other", False),
    ],
)
def test_a_class_with_many_fields_that_is_built_by_position_is_caught(decorator: str, caught: bool) -> None:
    fields = "\n".join(f"    field_{number}: int" for number in range(5))
    assert built_by_position(f"{decorator}\nclass Planted:\n{fields}\n") == (["Planted"] if caught else [])
    few = fields.replace("field_4: int", "field_4: int = field(init=False)")
    assert built_by_position(f"{decorator}\nclass Few:\n{few}\n") == []
