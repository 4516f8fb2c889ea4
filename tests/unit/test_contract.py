"""The contract between the lab's parts: written once, and imported by all others."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from caplab_agent.faults import Assignment, FaultRecord
from caplab_agent.report import report_body
from caplab_cluster.paths import REPOSITORY

from caplab.contract import names, objects, ports
from caplab.contract.records import BodyError, schema_of

# The cluster's package runs before anything is installed, and tests say what they expect in words of their own.
ROOTS = ("bench", "caplab", "dashboards", "experiments", "operator", "probes")
CONTRACT = REPOSITORY / "caplab" / "contract"


def written(source: str, word: str) -> Iterator[int]:
    """Yield the lines of a module that write a word in a text, docstrings aside."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
        if is_text and word in node.value:  # type: ignore[attr-defined]  # as is_text says
            yield node.lineno  # type: ignore[attr-defined]


def modules() -> list[Path]:
    every = (file for root in ROOTS for file in (REPOSITORY / root).rglob("*.py"))
    return [file for file in every if CONTRACT not in file.parents]


def test_nobody_else_writes_the_labs_group() -> None:
    files = modules()
    assert len(files) > 200
    places = [
        f"{file.relative_to(REPOSITORY)}:{line}" for file in files for line in written(file.read_text(), "caplab.dev")
    ]
    assert places == []


@pytest.mark.parametrize(
    "planted",
    [
        'LABEL = "caplab.dev/cluster"',
        'def selector(name):\n    return f"caplab.dev/cluster={name}"',
        'CALL = call(group="caplab.dev")',
        'class Watch:\n    """Watches."""\n\n    selector: str = "a,caplab.dev/part"',
    ],
)
def test_a_planted_copy_of_the_group_is_found(planted: str) -> None:
    assert list(written(planted, names.GROUP)) == [planted.count("\n") + 1]


def test_a_docstring_may_name_the_group() -> None:
    assert (
        list(written('"""Labels such as caplab.dev/run."""\n\ndef one():\n    """Of caplab.dev."""\n', "caplab.dev"))
        == []
    )


def test_a_kind_has_one_plural_and_one_engine() -> None:
    assert len({kind.name for kind in names.KINDS}) == len({kind.plural for kind in names.KINDS}) == len(names.KINDS)
    assert all(kind.plural == f"{kind.name.lower()}s" for kind in names.KINDS)
    assert all(engine == kind.removesuffix("Cluster").lower() for kind, engine in names.ENGINES.items())


def test_what_runs_beside_a_redis_member_has_the_same_ports() -> None:
    from caplab_redis_member import config  # noqa: PLC0415

    assert (config.REDIS_PORT, config.SENTINEL_PORT) == (ports.REDIS, ports.SENTINEL)


def test_the_contract_loads_nothing_else_of_the_lab() -> None:
    modules_of_it = sorted(file.stem for file in CONTRACT.glob("*.py") if file.stem != "__init__")
    code = (
        "import sys; before = set(sys.modules)\n"
        f"from caplab.contract import {', '.join(modules_of_it)}\n"
        "names = {name for name in sys.modules.keys() - before if not name.startswith('caplab.contract')}\n"
        "print(sorted(name for name in names if name.startswith(('caplab', 'chaos', 'kube'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "['caplab']\n"


FAULT = {
    "metadata": {"namespace": "ns", "name": "f", "uid": "u", "finalizers": [names.FINALIZER]},
    "spec": {
        "target": {"kind": "PostgresCluster", "name": "pg", "role": "any", "count": 2},
        "partition": {"from": "peers", "direction": "in", "dns": "Keep"},
        "durationSeconds": 10,
        "seed": 0,
    },
    "status": {"phase": "Active", "targets": [{"uid": "p", "pod": "pg-0", "dropsFrom": [], "proven": False}]},
}


def test_an_object_is_read_and_written_as_it_is() -> None:
    fault = objects.Fault.from_body(FAULT)
    assert (fault.spec.target.count, fault.spec.partition and fault.spec.partition.source) == (2, "peers")
    assert fault.status
    assert fault.status.targets
    assert (fault.status.targets[0].drops_from, fault.status.targets[0].drops_to) == ((), None)
    assert fault.to_body() == FAULT


def test_a_missing_field_has_the_default_of_the_api_server() -> None:
    spec = objects.FaultSpec.from_body({"target": {"zone": "a"}, "kill": {}})
    assert spec.kill == objects.Kill(signal="SIGKILL", keep_down=True)
    assert (spec.seed, spec.duration_seconds, spec.freeze) == (0, None, None)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "spec: field 'target' is missing."),
        ({"target": None}, "spec: field 'target' is missing."),
        ({"target": "pg"}, "spec.target: expected an object with named fields, found 'pg'."),
        ({"target": {"count": "2"}}, "spec.target.count: must be a whole number, found '2'."),
        ({"target": {"count": True}}, "spec.target.count: must be a whole number, found True."),
        ({"target": {}, "kill": {"keepDown": 1}}, "spec.kill.keepDown: must be true or false, found 1."),
        ({"target": {"members": "pg-0"}}, "spec.target.members: must be a list, found 'pg-0'."),
        ({"target": {"members": ["pg-0", 1]}}, "spec.target.members[1]: must be a text, found 1."),
    ],
)
def test_a_field_that_cannot_be_read_is_named(body: dict[str, Any], problem: str) -> None:
    with pytest.raises(BodyError) as error:
        objects.FaultSpec.from_body(body, "spec")
    assert str(error.value) == problem


def test_the_operators_part_of_a_target_is_what_no_agent_writes() -> None:
    record = FaultRecord(Assignment("f", "ns", "f", "pg", "p", "pg-0"), "b", 1, "Active", 2, "t", 3, "t")
    whole = replace(record, proven=True, evidence=("e",), problem="p", effective_ns=4)
    body = report_body([whole])
    assert body
    (target,) = body["status"]["targets"]
    every = set(schema_of(objects.TargetStatus)["properties"])
    assert set(target) == every - set(objects.OPERATOR_FIELDS) | {"uid"}
