"""The contract between the lab's parts: written once, and imported by all others."""

from __future__ import annotations

import ast
import copy
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from caplab_agent.faults import Assignment, FaultRecord
from caplab_agent.report import report_body
from caplab_cluster.paths import CHART, REPOSITORY
from support.chart.crd_schema import schemas
from support.chart.templates import filled, read_crd

from caplab.contract import bounds, meta, names, objects, phases, ports, runs
from caplab.contract.engines import BY_KIND, BY_NAME, ENGINES, REDIS, Engine, for_chart
from caplab.contract.records import BodyError, Record, schema_of

# The cluster's package runs before anything is installed.
ROOTS = ("bench", "caplab", "dashboards", "experiments", "operator", "probes", "tests")
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
    return [file for file in every if CONTRACT not in file.parents and file != Path(__file__)]


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


# How a field of any object's metadata, or its conditions, are read from a body.
READS_OF_ALL = re.compile(
    r'\["metadata"\](?:\["(?:name|namespace|uid|generation)"\]|\.get\("(?:labels|annotations)")'
    r'|deletionTimestamp|(?:\.get\(|\[)"conditions"'
)


def reads_of_all(source: str) -> list[str]:
    return [line.strip() for line in source.splitlines() if READS_OF_ALL.search(line)]


# caplab_cluster runs before anything is installed, so it has no contract to read with.
PACKAGES = ("caplab", "experiments", "operator", "probes")


def test_what_every_object_has_is_read_by_the_contract_alone() -> None:
    every = [file for package in PACKAGES for file in (REPOSITORY / package).rglob("*.py")]
    others = [file for file in every if not file.is_relative_to(CONTRACT)]
    assert len(others) > 200
    found = {str(file.relative_to(REPOSITORY)): reads for file in others if (reads := reads_of_all(file.read_text()))}
    assert found == {}, "Hint: use caplab.contract.meta"


@pytest.mark.parametrize(
    "planted",
    [
        'uid = body["metadata"]["uid"]',
        'zone = node["metadata"].get("labels", {}).get(ZONE_LABEL)',
        'if "deletionTimestamp" in metadata:',
        'ready = next(each for each in status.get("conditions") or () if each["type"] == "Ready")',
        'for each in pod["status"]["conditions"]:',
    ],
)
def test_a_body_that_is_taken_apart_elsewhere_is_found(planted: str) -> None:
    assert reads_of_all(planted) == [planted]


def test_the_readers_of_what_every_object_has() -> None:
    body: dict[str, Any] = {
        "metadata": {"name": "rd", "namespace": "demo", "uid": "u-1", "generation": 3, "labels": None},
        "status": {"conditions": [{"type": "Ready", "status": "True"}, {"status": "a stranger's"}]},
    }
    read = meta.name_of(body), meta.namespace_of(body), meta.uid_of(body), meta.generation_of(body)
    assert read == ("rd", "demo", "u-1", 3)
    assert (meta.labels_of(body), meta.annotations_of(body), meta.is_being_deleted(body)) == ({}, {}, False)
    assert meta.conditions_of(body["status"])["Ready"]["status"] == "True"
    assert meta.conditions_of({}) == meta.conditions_of({"conditions": None}) == {}
    body["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": "b"}}
    assert (meta.labels_of(body), meta.is_being_deleted(body)) == ({"a": "b"}, True)


# What is written in objects, in people's manifests and scripts, and in results that were kept: a change breaks those.
WRITTEN = {
    "API_VERSION": "caplab.dev/v1alpha1",
    "CHAOS_LABEL": "caplab.dev/chaos",
    "CLIENTS_LABEL": "caplab.dev/clients",
    "CLUSTERS_LABEL": "caplab.dev/clusters",
    "CLUSTER_LABEL": "caplab.dev/cluster",
    "COMPARE_SCHEMA": "caplab.dev/compare/v1",
    "DECIDED_ANNOTATION": "caplab.dev/decided",
    "ENGINE_LABEL": "caplab.dev/engine",
    "FAST_PATH_LABEL": "caplab.dev/fast-path",
    "FENCE_ANNOTATION": "caplab.dev/fence",
    "FILES_ANNOTATION": "caplab.dev/files",
    "FINALIZER": "caplab.dev/heal",
    "FINDINGS_SCHEMA": "caplab.dev/findings/v1",
    "GENERATION_ANNOTATION": "caplab.dev/generation",
    "GROUP": "caplab.dev",
    "LOGIN_ANNOTATION": "caplab.dev/login",
    "MONITORING_LABEL": "caplab.dev/monitoring",
    "PART_LABEL": "caplab.dev/part",
    "PREFIX": "caplab.dev/",
    "RESTART_ANNOTATION": "caplab.dev/restart",
    "ROLE_LABEL": "caplab.dev/role",
    "ROOT_KEY_ANNOTATION": "caplab.dev/root-key",
    "RUN_LABEL": "caplab.dev/run",
    "SCOPE_LABEL": "caplab.dev/scope",
    "SESSION_LABEL": "caplab.dev/session",
    "SETTLED_ANNOTATION": "caplab.dev/settled",
    "SUSPECT_ANNOTATION": "caplab.dev/suspect",
    "HOLD_ANNOTATION": "caplab.dev/hold",
    "VANTAGE_LABEL": "caplab.dev/vantage",
    "VERDICT_SCHEMA": "caplab.dev/verdict/v1",
}


def test_names_at_the_api_server_stay_as_they_are() -> None:
    """Only here are they spelled out: every other test uses the contract's names."""
    every = vars(names).items()
    assert {name: value for name, value in every if isinstance(value, str) and value.startswith(names.GROUP)} == WRITTEN


def test_a_kind_has_one_plural_and_an_engine_one_kind() -> None:
    assert len(set(names.PLURALS.values())) == len(names.PLURALS)
    assert all(plural == f"{kind.lower()}s" for kind, plural in names.PLURALS.items())
    assert {engine.kind for engine in ENGINES} == {f"{engine.name.title()}Cluster" for engine in ENGINES}
    assert len(BY_NAME) == len(BY_KIND) == len(ENGINES)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_has_a_word_for_its_epochs_if_it_has_a_primary(engine: Engine) -> None:
    assert bool(engine.epoch) == bool(engine.stamped) == engine.has_primary


def test_the_charts_copy_of_the_table_of_engines_is_up_to_date() -> None:
    """To write it anew: python -m caplab.contract.engines > charts/caplab/files/engines.json."""
    assert (CHART / "files" / "engines.json").read_text() == for_chart()


def test_what_runs_beside_a_redis_member_has_the_same_ports() -> None:
    from caplab_redis_member import config  # noqa: PLC0415

    assert (REDIS.port, ports.SENTINEL) == (config.REDIS_PORT, config.SENTINEL_PORT)


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


# Objects and the schemas of their kinds.

SCHEMAS: list[tuple[str, str, type[Record]]] = [
    (names.FAULT, "spec", objects.FaultSpec),
    (names.FAULT, "status", objects.FaultStatus),
    (names.PROBE, "spec", objects.ProbeSpec),
    (names.PROBE, "status", objects.ProbeStatus),
    (names.RUN, "spec", runs.RunSpec),
    (names.RUN, "status", runs.RunStatus),
]


def bare(schema: Any, is_schema: bool = True) -> Any:
    """Take out of a schema what is for people or for the API server alone; what is a set comes in order."""
    if isinstance(schema, Mapping):
        own = schema.keys() - ({"description", "x-kubernetes-validations"} if is_schema else set())
        return {
            name: sorted(schema[name])
            if is_schema and name in ("enum", "required")
            else bare(schema[name], name != "properties")
            for name in own
        }
    return [bare(item) for item in schema] if isinstance(schema, list | tuple) else schema


def differences(contract: Any, crd: Any, where: str) -> list[str]:
    """List every place where the two differ."""
    if not (isinstance(contract, dict) and isinstance(crd, dict)):
        return [] if contract == crd else [f"{where}: {contract!r}, and in the chart {crd!r}"]
    every = sorted(contract.keys() | crd.keys())
    return [line for name in every for line in differences(contract.get(name), crd.get(name), f"{where}.{name}")]


def of_chart(kind: str, part: str) -> Any:
    return copy.deepcopy(bare(schemas()[kind]["properties"][part]))


@pytest.mark.parametrize(("kind", "part", "record"), SCHEMAS)
def test_the_charts_schemas_are_those_of_the_contract_field_by_field(
    kind: str, part: str, record: type[Record]
) -> None:
    assert differences(bare(schema_of(record)), of_chart(kind, part), f"{kind}.{part}") == []


@pytest.mark.parametrize(
    ("kind", "part", "way", "value"),
    [
        ("Fault", "spec", "properties.durationSeconds.maximum", 7200),  # a bound
        ("Fault", "spec", "properties.durationSeconds.type", "number"),  # a type
        ("Fault", "spec", "properties.partition.properties.direction.default", "in"),
        ("Fault", "spec", "properties.target.properties.kind.enum", ["RedisCluster"]),
        ("Fault", "spec", "required", ["durationSeconds", "target"]),
        ("Fault", "spec", "properties.fill", {"type": "object"}),  # a field more
        ("Fault", "spec", "properties.freeze", None),  # a field less
        ("Fault", "status", "properties.targets.items.properties.evidence.items.maxLength", 299),
        ("Fault", "status", "properties.targets.x-kubernetes-list-map-keys", ["pod"]),
        ("Probe", "spec", "properties.runId.pattern", "^.*$"),
        ("Probe", "spec", "properties.routes.items.enum", ["any", "direct", "service"]),
        ("Probe", "spec", "properties.rate.exclusiveMinimum", None),
        ("Run", "spec", "properties.settings.additionalProperties.maxLength", 20),
        ("Run", "status", "properties.figures.properties.lost.format", "int32"),
    ],
)
def test_a_planted_difference_of_the_chart_is_found(kind: str, part: str, way: str, value: object) -> None:
    crd = of_chart(kind, part)
    *steps, last = way.split(".")
    place = crd
    for step in steps:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    (record,) = (record for of_kind, of_part, record in SCHEMAS if (of_kind, of_part) == (kind, part))
    found = differences(bare(schema_of(record)), crd, "")
    assert [line.split(":")[0] for line in found] == [f".{way}"] or (found and all(way in line for line in found))


def test_the_charts_kinds_have_the_contracts_names() -> None:
    documents = [read_crd(file) for file in (CHART / "templates" / "crds").glob("*.yaml")]
    found = {
        (document["spec"]["names"]["kind"], document["spec"]["names"]["plural"], document["spec"]["group"])
        for document in documents
    }
    assert found == {(kind, plural, names.GROUP) for kind, plural in names.PLURALS.items()}
    assert all(
        document["metadata"]["name"] == f"{document['spec']['names']['plural']}.{names.GROUP}" for document in documents
    )
    assert {version["name"] for document in documents for version in document["spec"]["versions"]} == {names.VERSION}


def test_the_charts_phases_are_those_of_the_contract() -> None:
    def listed(kind: str, *way: str) -> set[str]:
        schema: Any = schemas()[kind]["properties"]["status"]
        for name in way:
            schema = schema["items"] if name == "items" else schema["properties"][name]
        return set(re.findall(r"\b[A-Z][a-z]+\b", schema["description"].partition(";")[0]))

    assert listed("Fault", "phase") == set(phases.FAULT_PHASES)
    assert listed("Fault", "targets", "items", "state") == set(phases.TARGET_STATES)
    assert listed("Run", "phase") == set(phases.RUN_PHASES)


@pytest.mark.parametrize("kind", BY_KIND)
def test_the_charts_bounds_of_clusters_are_those_of_the_contract(kind: str) -> None:
    metadata, status = (schemas()[kind]["properties"][part]["properties"] for part in ("metadata", "status"))
    assert metadata["name"]["maxLength"] == bounds.CLUSTER_NAME
    assert status["rollout"]["maxLength"] == bounds.ROLLOUT_CHARACTERS
    assert status["conditions"]["items"]["properties"]["message"]["maxLength"] == bounds.MESSAGE_CHARACTERS


def test_prometheus_may_reach_the_contracts_ports() -> None:
    text = filled((CHART / "templates" / "prometheus-network.yaml").read_text())
    reached = {int(port) for port in re.findall(r"\bport\"?: (\d+)", text)}
    of_lab = {ports.AGENT_METRICS, ports.PROBER_METRICS, ports.OPERATOR_METRICS, ports.SCRAPE_TARGETS}
    assert reached == of_lab | {engine.metrics_port for engine in ENGINES}


def test_the_charts_pods_listen_at_the_contracts_ports() -> None:
    def listening(file: str) -> set[int]:
        text = (CHART / "templates" / file).read_text()
        return {int(port) for port in re.findall(r"containerPort: (\d+)", text)}

    assert listening("agent.yaml") == {ports.AGENT_METRICS}
    assert listening("prober.yaml") == {ports.PROBER_METRICS}
    assert listening("operator.yaml") == {ports.OPERATOR_HEALTH, ports.OPERATOR_METRICS, ports.SCRAPE_TARGETS}


# The chart's own: checksums of what its pods have mounted.
OF_CHART_ONLY = {f"{names.PREFIX}{word}" for word in ("token", "configuration")}


def test_every_label_and_annotation_of_the_chart_is_one_of_the_contract() -> None:
    known = {value for value in vars(names).values() if isinstance(value, str) and value.startswith(names.PREFIX)}
    text = "\n".join(file.read_text() for file in (CHART / "templates").rglob("*.yaml"))
    used = set(re.findall(rf"\b{re.escape(names.PREFIX)}[a-z0-9-]+", text))
    assert len(used) > 5
    assert used <= known | {names.API_VERSION} | OF_CHART_ONLY


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


def named_in(schema: Any) -> Iterator[str]:
    for name, of_name in schema.get("properties", {}).items():
        yield name
        yield from named_in(of_name)
    if "items" in schema:
        yield from named_in(schema["items"])


def fields_of_its_own() -> set[str]:
    """Return the fields that no cluster and no object of Kubernetes has too: those in camel case are told by name."""
    of_contract = {name for _, _, record in SCHEMAS for name in named_in(schema_of(record)) if name != name.lower()}
    return of_contract - {name for kind in BY_KIND for name in named_in(schemas()[kind])} - {"startedAt"}


def taken_apart(source: str, fields: set[str]) -> Iterator[str]:
    """Yield the fields that a module takes out of a body: by subscript, by get or pop, or by asking for them."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Subscript(slice=ast.Constant(value=str(name)), ctx=ast.Load()):
                pass
            case ast.Call(func=ast.Attribute(attr="get" | "pop"), args=[ast.Constant(value=str(name)), *_]):
                pass
            case ast.Compare(left=ast.Constant(value=str(name)), ops=[ast.In() | ast.NotIn()]):
                pass
            case _:
                continue
        if name in fields:
            yield name


def test_nobody_else_takes_a_fault_a_probe_or_a_run_apart() -> None:
    fields, code = fields_of_its_own(), [file for file in modules() if REPOSITORY / "tests" not in file.parents]
    assert {"durationSeconds", "injectedNs", "runId", "byVantage"} <= fields
    places = {str(file.relative_to(REPOSITORY)): sorted(taken_apart(file.read_text(), fields)) for file in code}
    assert {file: taken for file, taken in places.items() if taken} == {}


@pytest.mark.parametrize(
    "planted",
    [
        'seconds = fault["spec"]["durationSeconds"]',
        'for entry in entries:\n    ends = entry.get("healedNs")',
        'was_hit = "injectedNs" in entry',
        'client = probe["spec"].get("client") or {}\nskew = client["clockSkewMilliseconds"]',
        'rows = [row for row in status.get("byVantage") or ()]',
    ],
)
def test_a_planted_module_that_takes_an_object_apart_is_found(planted: str) -> None:
    assert len(list(taken_apart(planted, fields_of_its_own()))) == 1


def test_the_operators_part_of_a_target_is_what_no_agent_writes() -> None:
    record = FaultRecord(
        assignment=Assignment(fault_uid="f", namespace="ns", name="f", cluster="pg", pod_uid="p", pod="pg-0"),
        boot_id="b",
        deadline_ns=1,
        state="Active",
        injected_ns=2,
        injected_at="t",
        healed_ns=3,
        healed_at="t",
    )
    whole = replace(record, proven=True, evidence=("e",), problem="p", effective_ns=4)
    body = report_body([whole])
    assert body
    (target,) = body["status"]["targets"]
    every = {field.name for field in fields(objects.TargetStatus)}
    written = {name for name in every if getattr(objects.TargetStatus.from_body(target), name) is not None}
    assert written == every - set(objects.OPERATOR_FIELDS) | {"uid"}
