"""The tables of the engines' parameters, what of them no spec may name, and the rules that are made from them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from caplab_operator.engines.parameters import Parameter, allowed, table
from parameters import files
from parameters.asking import ENGINES, read_cassandra, read_postgres, read_redis
from parameters.refusals import BOUNDS, REFUSALS, TEXT, reason
from parameters.rules import rules
from support.chart.templates import read_crd


@pytest.mark.parametrize("engine", ENGINES)
def test_the_kinds_definition_is_the_one_that_the_table_makes(engine: str) -> None:
    text = files.schema_file(engine).read_text()
    assert files.with_fragment(text, engine) == text, "run PYTHONPATH=bench python -m parameters"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_table_that_changed_by_hand_makes_another_definition(engine: str) -> None:
    text = files.schema_file(engine).read_text()
    assert files.with_fragment(text.replace("leave it out", "take it out"), engine) == text


@pytest.mark.parametrize("engine", ENGINES)
def test_the_table_carries_every_decision(engine: str) -> None:
    rows = json.loads(files.table_file(engine).read_text())
    assert files.decided(engine, rows) == rows, "run PYTHONPATH=bench python -m parameters --ask"
    assert files.as_text(rows) == files.table_file(engine).read_text()


@pytest.mark.parametrize("engine", ENGINES)
def test_every_decision_is_about_a_parameter_that_exists(engine: str) -> None:
    parameters = table(engine)
    for patterns in REFUSALS[engine].values():
        assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in parameters)] == []
    assert set(BOUNDS[engine]) <= set(allowed(engine))


@pytest.mark.parametrize("engine", ENGINES)
def test_what_may_be_named_is_in_lower_case_with_values_that_can_be_checked(engine: str) -> None:
    for name, parameter in allowed(engine).items():
        assert re.fullmatch(r"[a-z_][a-z0-9_.-]*", name)
        assert parameter.kind != "text"
        assert (parameter.kind in ("enum", "letters")) == bool(parameter.values)
        assert parameter.kind != "integer" or None not in (parameter.minimum, parameter.maximum)


@pytest.mark.parametrize(
    ("engine", "names"),
    [
        (
            "postgres",
            "fsync full_page_writes synchronous_commit synchronous_standby_names archive_command restore_command"
            " ssl_passphrase_command archive_cleanup_command shared_preload_libraries session_preload_libraries"
            " local_preload_libraries jit_provider dynamic_library_path archive_library data_directory hba_file"
            " log_directory unix_socket_directories listen_addresses port log_statement log_min_duration_statement"
            " zero_damaged_pages recovery_target_time primary_conninfo allow_alter_system password_encryption"
            " debug_print_plan wal_sync_method",
        ),
        (
            "redis",
            "appendonly appendfsync save min-replicas-to-write dir dbfilename logfile aclfile bind port unixsocket"
            " requirepass masterauth replicaof replica-read-only no-appendfsync-on-rewrite enable-module-command"
            " enable-debug-command enable-protected-configs maxmemory slaveof protected-mode rename-command loadmodule",
        ),
        (
            "cassandra",
            "commitlog_sync commitlog_sync_period hinted_handoff_enabled max_hint_window data_file_directories"
            " seed_provider authenticator authorizer role_manager listen_address rpc_address native_transport_port"
            " storage_port full_query_logging_options audit_logging_options user_defined_functions_enabled"
            " allow_insecure_udfs endpoint_snitch num_tokens partitioner disk_failure_policy cluster_name"
            " heap_dump_path",
        ),
    ],
)
def test_what_durability_safety_and_the_lab_stand_on_may_not_be_named(engine: str, names: str) -> None:
    assert set(names.split()) & set(allowed(engine)) == set()


def test_text_may_not_be_named_even_if_nobody_thought_of_it() -> None:
    assert reason("postgres", "a_new_one", "text") == TEXT
    assert reason("postgres", "a_new_one", "integer") == ""


def test_a_rule_names_every_parameter_once_and_gives_each_refused_one_its_reason() -> None:
    parameters = {
        parameter.name: parameter
        for parameter in [
            Parameter(name="work_mem", kind="size", unit="kB", minimum=64, maximum=1024),
            Parameter(name="jit", kind="bool"),
            Parameter(name="fsync", kind="bool", refused="durability stands on it"),
        ]
    }
    names, bools, sizes = (parameter.as_yaml() for parameter in rules("postgres", parameters))
    assert names["rule"] == "[{ }].all(about, self.all(name, name in ['work_mem', 'jit']))"
    assert "name.lowerAscii() in ['fsync'] ? 'durability stands on it: leave it out'" in names["messageExpression"]
    assert "{ 'jit': true }" in bools["rule"]
    assert "{ 'work_mem': [1024.0, 65536.0, 1048576.0] }" in sizes["rule"]
    assert "a size from 64kB to 1024kB, in B, kB, MB, GB, TB" in sizes["messageExpression"]


def test_postgres_rows_have_type_unit_range_and_whether_they_take_a_restart() -> None:
    columns = ("name", "vartype", "unit", "min_val", "max_val", "enumvals", "context")
    answers = [
        ("shared_buffers", "integer", "8kB", "16", "99", None, "postmaster"),
        ("random_page_cost", "real", None, "0", "1.79769e+308", None, "user"),
        ("block_size", "integer", None, "8192", "8192", None, "internal"),
        ("wal_compression", "enum", None, None, None, ["", "on"], "superuser"),
    ]
    assert read_postgres(json.dumps([dict(zip(columns, row, strict=True)) for row in answers])) == {
        "shared_buffers": {"kind": "size", "unit": "8kB", "minimum": 16, "maximum": 99},
        "random_page_cost": {"kind": "real", "minimum": 0, "maximum": 1.79769e308, "live": True},
        "block_size": {"kind": "integer", "minimum": 8192, "maximum": 8192, "refused": "it is read-only"},
        "wal_compression": {"kind": "enum", "values": ["on"], "live": True},
    }


def test_redis_rows_are_read_from_what_it_refuses() -> None:
    output = (
        '{"hz": "10", "io-threads": "1", "loglevel": "notice", "dir": "/x", "notify-keyspace-events": ""}\n'
        "hz\tyes\tERR argument couldn't be parsed into an integer ERR argument must be between 0 and 500 inclusive OK\n"
        "io-threads\tno\tERR can't set immutable config argument couldn't be parsed into an integer"
        " argument must be between 1 and 128 inclusive\n"
        "loglevel\tyes\tERR argument(s) must be one of the following: debug, notice ERR argument(s) must be one of\n"
        "dir\tno\tERR can't set protected config\n"
        "notify-keyspace-events\tyes\tERR Invalid event class character. Use 'KE$'. OK"
    )
    assert read_redis(output) == {
        "hz": {"kind": "integer", "live": True, "default": "10", "minimum": 0, "maximum": 500},
        "io-threads": {"kind": "integer", "default": "1", "minimum": 1, "maximum": 128},
        "loglevel": {"kind": "enum", "live": True, "default": "notice", "values": ["debug", "notice"]},
        "dir": {"kind": "text", "default": "/x"},
        "notify-keyspace-events": {"kind": "letters", "live": True, "values": ["$", "E", "K"]},
    }


def test_cassandra_rows_have_the_smallest_unit_of_their_type() -> None:
    config = "org.apache.cassandra.config."
    output = "\n".join([
        f"range_request_timeout\t{config}DurationSpec$LongMillisecondsBound\t\t\t.",
        f"compaction_throughput\t{config}DataRateSpec$LongBytesPerSecondBound\t\t\t.",
        "concurrent_reads\tint\t\t\t.",
        f"flush_compression\t{config}Config$FlushCompression\tnone,fast\t\t.",
        "windows_timer_interval\tint\t\tdeprecated\t.",
        "seed_provider\torg.apache.cassandra.config.ParameterizedClass\t\t\t.",
    ])  # fmt: skip
    rows = read_cassandra(output)
    assert rows["range_request_timeout"] == {"kind": "time", "unit": "ms", "minimum": 0, "maximum": 2**63 - 2}
    assert (rows["compaction_throughput"]["kind"], rows["compaction_throughput"]["unit"]) == ("rate", "B/s")
    assert rows["concurrent_reads"] == {"kind": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
    assert rows["flush_compression"] == {"kind": "enum", "values": ["none", "fast"]}
    assert rows["windows_timer_interval"]["refused"]
    assert rows["seed_provider"] == {"kind": "text"}


CRDS = sorted(files.schema_file("redis").parent.glob("*.yaml"))


def unbounded(schema: Any, where: str) -> list[str]:
    """Fields of a schema that may be of any length, and patterns that a part of a text is enough for."""
    gaps = []
    kind, pattern = schema.get("type"), schema.get("pattern", "^$")
    bounds = {"string": "maxLength", "array": "maxItems"}.get(kind, "type")
    if bounds not in schema and "enum" not in schema:
        gaps.append(f"{where} has no {bounds}")
    if "additionalProperties" in schema and "maxProperties" not in schema:
        gaps.append(f"{where} has no maxProperties")
    if not (pattern.startswith("^") and pattern.endswith("$")):
        gaps.append(f"{where} has the open pattern {pattern}")
    # What is written in a status was measured; and any number is a seed.
    if kind in ("integer", "number") and ".status." not in where and not where.endswith(".seed"):
        gaps += [f"{where} has no {bound}" for bound in ("minimum", "maximum") if bound not in schema]
    inner = {f".{name}": below for name, below in schema.get("properties", {}).items()}
    if below := schema.get("items") or schema.get("additionalProperties"):
        inner["[]"] = below
    return gaps + [
        property_schema for name, below in inner.items() for property_schema in unbounded(below, where + name)
    ]


@pytest.mark.parametrize("file", CRDS, ids=lambda file: file.stem)
def test_nothing_in_a_kind_may_be_of_any_length(file: Path) -> None:
    for version in read_crd(file)["spec"]["versions"]:
        assert unbounded(version["schema"]["openAPIV3Schema"], file.stem) == []


def test_an_unbounded_field_would_be_found() -> None:
    fields: dict[str, Any] = {
        "a": {"type": "string"},
        "b": {"type": "array", "items": {"type": "string", "maxLength": 1, "pattern": "a$"}},
        "c": {"type": "integer", "minimum": 1},
    }
    assert unbounded({"type": "object", "properties": fields}, "kind") == [
        "kind.a has no maxLength", "kind.b has no maxItems", "kind.b[] has the open pattern a$",
        "kind.c has no maximum",
    ]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_a_clusters_name_is_one_that_its_services_and_pods_can_have(engine: str) -> None:
    (version,) = yaml.safe_load(files.schema_file(engine).read_text())["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    (rule,) = schema["x-kubernetes-validations"]
    assert "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')" in rule["rule"]
    longest = schema["properties"]["metadata"]["properties"]["name"]["maxLength"]
    # The longest names that are made of it, and the label controller-revision-hash of a StatefulSet's pods.
    assert max(len(more) for more in ("-primary-failover", "-sentinel-" + "x" * 10)) + longest <= 63
