"""A run has one context: no other module of its path keeps anything between two calls, or reads the environment."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from caplab_cluster.paths import REPOSITORY, Cache
from chaoscaplab.controls import run as control
from chaoscaplab.discovery import ACTIONS, PROBES
from chaoslib.exceptions import InterruptExecution
from support.runs.held_runs import begin_run

from caplab.command_error import CommandError
from caplab.ownership import SuiteSession
from caplab.run_context import RunContext, current_control, current_run, held, keep_control, release

EXTENSION = REPOSITORY / "experiments" / "chaoscaplab"
# What makes, judges and shows a run. run_context.py is where the run is held, and its environment read.
PATH = [
    *sorted(EXTENSION.rglob("*.py")),
    *sorted((REPOSITORY / "caplab" / "verdict").glob("*.py")),
    *(REPOSITORY / "caplab" / f"{name}.py" for name in ("files/results", "judging", "ownership")),
    *(
        REPOSITORY / "caplab" / "run" / f"{name}.py"
        for name in (
            "command",
            "plans",
            "resuming",
            "suite_run",
            "tidy",
            "toolkit",
        )
    ),
]
ENTRY_POINTS = {  # what Chaos Toolkit calls
    EXTENSION.parent / f"{module.replace('.', '/')}.py" for module in (*ACTIONS, *PROBES, control.__name__)
}
_READ_ONLY = ("Mapping", "Sequence", "Collection", "tuple", "frozenset", "Callable", "TypeAlias", "Final")
_MAKES_VALUES = ("getLogger", "compile", "frozenset", "Path", "Bounds", "TypeVar", "NewType", "float", "int", "tuple")


@pytest.fixture(autouse=True)
def no_run() -> Iterator[None]:
    release()
    yield
    release()


def problems(source: str) -> list[str]:
    """Name what a module keeps between calls, and where it reads the environment."""
    tree = ast.parse(source)
    return [*_kept(tree), *(what for node in ast.walk(tree) for what in _reads(node))]


def _kept(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield f"line {node.lineno}: global {', '.join(node.names)}"
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value and _can_change(statement):
            yield f"line {statement.lineno}: {ast.unparse(statement)[:60]}"


def _can_change(statement: ast.Assign | ast.AnnAssign) -> bool:
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    if ast.unparse(target) == "__all__":
        return False
    if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.annotation).startswith(_READ_ONLY):
        return False
    values = statement.value.elts if isinstance(statement.value, ast.Tuple) else [statement.value]
    return any(_is_changeable(value) for value in values)


def _is_changeable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        return ast.unparse(value.func).rpartition(".")[2] not in _MAKES_VALUES
    return value is None or isinstance(value, ast.Dict | ast.List | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def _reads(node: ast.AST) -> Iterator[str]:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    if isinstance(node, ast.ImportFrom):
        name = next((alias.name for alias in node.names if alias.name in ("environ", "getenv")), "")
    if name in ("environ", "environb", "getenv", "from_environment"):
        yield f"{ast.unparse(node)} reads the environment"


def asks_for_the_run(source: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "current_run" for node in ast.walk(ast.parse(source)))


@pytest.mark.parametrize("file", PATH, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_no_module_keeps_a_run_of_its_own_or_reads_the_environment(file: Path) -> None:
    assert problems(file.read_text()) == []


@pytest.mark.parametrize(
    "planted",
    [
        "_state = State()",
        "_runs: dict[str, Any] = {}",
        "SEEN = []",
        "_LIMIT, _runs = 3, {}",
        "_current = None\ndef begin(run):\n    global _current\n    _current = run",
        "_current: ContextVar[str] = ContextVar('run')",
        "import os\nfolder = os.environ.get('CAPLAB_RUN_FOLDER')",
        "import os\ndef folder():\n    return os.getenv('CAPLAB_RUN_FOLDER')",
        "from os import environ as variables",
        "def store():\n    return NodeLossStore.of(Cache.from_environment())",
    ],
)
def test_a_second_place_is_caught(planted: str) -> None:
    module = (EXTENSION / "clusters" / "provision.py").read_text()
    assert problems(module) == []
    assert problems(f"{module}\n\n{planted}\n") != []


@pytest.mark.parametrize("file", PATH, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_the_run_is_asked_for_only_where_chaos_toolkit_comes_in(file: Path) -> None:
    assert file in ENTRY_POINTS or not asks_for_the_run(file.read_text())


def test_a_helper_that_asks_for_the_run_is_caught() -> None:
    assert len(ENTRY_POINTS) == 9
    assert all(asks_for_the_run(file.read_text()) for file in ENTRY_POINTS)
    module = (EXTENSION / "clusters" / "provision.py").read_text()
    assert asks_for_the_run(f"{module}\n\ndef made():\n    return current_run().suite_session.made\n")


def test_steps_in_threads_of_their_own_are_in_the_same_run() -> None:
    run = begin_run("RedisCluster")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(current_run).result() is run


def test_a_run_that_is_driven_is_the_one_under_way_until_it_ends(tmp_path: Path) -> None:
    run = RunContext(folder=tmp_path, suite="smoke", suite_session=SuiteSession())
    with held(run):
        keep_control("planted")
        assert current_run() is run
    assert current_control() is None
    assert current_run() is not run


def test_without_a_driver_it_is_that_of_the_environment_and_stays_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPLAB_RUN_FOLDER", str(tmp_path))
    monkeypatch.setenv("CAPLAB_SUITE", "mine")
    monkeypatch.setenv("CAPLAB_CACHE", str(tmp_path / "cache"))
    run = current_run()
    assert (run.folder, run.suite, run.cache) == (tmp_path, "mine", Cache(tmp_path / "cache"))
    assert (run.kind, run.namespace) == ("", "")
    assert current_run() is run
    plain = RunContext.from_environment({})
    assert (plain.folder, plain.suite) == (Path("results") / plain.run_id / "run", "")
    assert plain.run_id != run.run_id


def test_a_variable_that_cannot_be_used_is_named_with_a_hint(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(CommandError, match=r"CAPLAB_RUN_FOLDER is .*/file, which is not a folder. Hint: name one"):
        RunContext.from_environment({"CAPLAB_RUN_FOLDER": str(file)})
    with pytest.raises(CommandError, match=r"CAPLAB_SUITE has 61 characters. Hint: give at most 60"):
        RunContext.from_environment({"CAPLAB_SUITE": "s" * 61})


def test_a_run_that_could_not_begin_is_unknown_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPLAB_SUITE", "s" * 61)
    row = {"engine": "postgres", "mode": "quorum", "fault": "none"}
    block = {"name": "caplab", "cluster": {"name": "pg", "spec": {}}, "loads": [], "vantages": ["a"], "row": row}
    experiment: Any = {"title": "t", "extensions": [block]}
    with pytest.raises(InterruptExecution, match="could not begin: CAPLAB_SUITE has 61"):
        control.before_experiment_control(experiment)
    journal: dict[str, Any] = {"status": "interrupted"}
    control.after_experiment_control(experiment, journal)
    control.cleanup_control()
    assert journal["caplab"]["verdict"] == "unknown"
    assert journal["caplab"]["error"].startswith("The run could not begin: CAPLAB_SUITE has 61 characters")
    another: dict[str, Any] = {"status": "interrupted"}
    control.after_experiment_control(experiment, another)
    assert another["caplab"] == {"verdict": "unknown", "error": "the experiment was interrupted"}
