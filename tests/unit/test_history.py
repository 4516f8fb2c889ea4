from __future__ import annotations

import json
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
import pytest
from histories import MS, ORIGIN_NS, history, kill, operation, run_record, table

from caplab.model.fields import FieldError
from caplab.model.history import REQUIRED, SCHEMA, VALIDATED, validate
from caplab.model.runs import FinalScan, RunRecord


def test_a_history_is_sorted_by_invocation_and_equal_moments_keep_their_order() -> None:
    rows = [operation(2, key="x"), operation(1, key="y"), operation(2, key="z"), operation(0, key="w")]
    assert history(rows).column("key").to_pylist() == ["w", "y", "x", "z"]


def test_every_column_is_as_the_design_names_and_types_it() -> None:
    assert SCHEMA.names == [
        *["vantage", "session", "op", "key", "value", "expected", "observed", "level", "route", "server", "epoch"],
        *["scheduled_ns", "invoke_ns", "return_ns", "outcome", "error"],
    ]
    integers = {"value", "expected", "observed", "scheduled_ns", "invoke_ns", "return_ns"}
    for field in SCHEMA:
        expected = pa.int32() if field.name == "session" else pa.int64() if field.name in integers else pa.string()
        assert field.type == expected


def test_missing_optional_columns_become_nulls() -> None:
    checked = validate(table([operation(0)]).select(list(REQUIRED)))
    assert checked.schema == VALIDATED
    assert checked.column("epoch").to_pylist() == [None]
    assert checked.column("value").to_pylist() == [None]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_column_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"no column '{name}'. Mend: add it"):
        validate(table([operation(0)]).drop_columns([name]))


def test_an_unknown_column_is_refused_since_it_may_be_a_misspelt_one() -> None:
    with pytest.raises(ValueError, match="Column 'retrun_ns' is not part of a history"):
        validate(table([operation(0)]).append_column("retrun_ns", pa.array([1])))


def test_a_column_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="Column 'op' is there twice"):
        validate(table([operation(0)]).append_column("op", pa.array(["read"])))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"op": "wirte"}, "Column 'op' says 'wirte'. Mend: use one of write, read"),
        ({"outcome": "maybe"}, "Column 'outcome' says 'maybe'. Mend: use one of ok, fail, info"),
        ({"error": "oops"}, "Column 'error' says 'oops'"),
        ({"route": "round"}, "Column 'route' says 'round'"),
        ({"vantage": None}, "Column 'vantage' is null in 1 rows"),
        ({"scheduled_ns": None}, "Column 'scheduled_ns' is null in 1 rows"),
        ({"outcome": None}, "Column 'outcome' is null in 1 rows"),
        ({"return_ns": ORIGIN_NS - MS}, "Column 'return_ns' is before invoke_ns in 1 rows"),
        ({"return_ns": None}, "Column 'return_ns' is null in 1 rows that are ok"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_with_its_column_and_mend(row: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        history([operation(0), operation(0, **row)])
    assert "Mend: " in str(refused.value)


def test_an_operation_that_never_returned_is_info() -> None:
    assert history([operation(0, "info", None)]).column("return_ns").to_pylist() == [None]


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("session", pa.array([2**40]), "Column 'session' does not fit int32"),
        ("session", pa.array(["1"]), "Column 'session' is string. Mend: write it as int32"),
        ("value", pa.array([1.5]), "Column 'value' is double. Mend: write it as int64"),
        ("key", pa.array([7]), "Column 'key' is int64. Mend: write it as string"),
    ],
)
def test_a_column_of_another_type_is_refused(name: str, values: Any, says: str) -> None:
    whole = table([operation(0)])
    with pytest.raises(ValueError, match=says):
        validate(whole.set_column(whole.column_names.index(name), name, values))


@pytest.mark.parametrize("type_", [pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.null()])
def test_text_may_be_stored_in_any_way(type_: Any) -> None:
    whole = table([operation(0), operation(1)])
    values = pa.array([None, None] if type_ == pa.null() else ["x", None]).cast(type_)
    checked = validate(whole.set_column(3, "key", values))
    assert checked.column("key").to_pylist() == values.to_pylist()
    assert checked.schema == VALIDATED


def test_small_integers_and_chunks_that_were_encoded_apart_are_taken() -> None:
    one = table([operation(0, key="x")])
    encoded = [part.set_column(3, "key", part.column("key").dictionary_encode()) for part in (one, one)]
    whole = pa.concat_tables(encoded)
    whole = whole.set_column(1, "session", whole.column("session").cast(pa.int8()))
    assert validate(whole).column("key").to_pylist() == ["x", "x"]


def test_a_history_without_operations_is_a_history() -> None:
    assert history([]).num_rows == 0


def test_a_validated_history_is_left_as_it_is() -> None:
    once = history([operation(1), operation(0, "fail", key="k", error="refused")])
    assert validate(once).schema == once.schema
    assert validate(once).to_pylist() == once.to_pylist()


RUN = run_record(
    fault_windows=(kill(), kill(healed_ms=None, proven=False)),
    has_primary=False,
    final_scan=FinalScan(False, None, "pg-1", "pg-0 did not rejoin", {"pg-2": 7}),
    settled_ns=12,
    images={"postgres": "caplab-registry:5000/postgres:1"},
    specs={"pg": {"replicas": 3}},
)


def test_a_run_record_comes_back_from_json_as_it_was() -> None:
    assert RunRecord.from_json(RUN.to_json()) == RUN
    assert RunRecord.from_json(run_record().to_json()) == run_record()
    assert json.loads(json.dumps(RUN.to_json())) == RUN.to_json()


def test_a_run_record_from_before_there_were_engines_without_a_primary_has_one() -> None:
    older = {name: value for name, value in RUN.to_json().items() if name != "has_primary"}
    older["final_scan"] = {"converged": True, "elements": 9, "server": "pg-1", "problem": ""}
    read = RunRecord.from_json(older)
    assert read.has_primary
    assert read.final_scan == FinalScan(True, 9, "pg-1")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": "7"}, "run.json: field 'seed' must be a whole number, found '7'"),
        ({"seed": True}, "field 'seed' must be a whole number"),
        ({"mode": ""}, "field 'mode' must be a text"),
        ({"mod": "async"}, "no such field 'mod'"),
        ({"fault_windows": [{"kind": "kill"}]}, r"run.json.fault_windows\[0\]: field 'target' is missing"),
        ({"fault_windows": {}}, "field 'fault_windows' must be a list"),
        ({"wall_anchor": 3}, "run.json.wall_anchor: expected an object"),
        ({"versions": {"postgres": 17}}, "run.json.versions: field 'postgres' must be a text"),
        ({"baseline": {"held": "yes"}}, "run.json.baseline: field 'held' must be true or false"),
        ({"final_scan": {"converged": True, "elements": "9"}}, "field 'elements' must be a whole number"),
        ({"final_scan": {"converged": True, "local": {"cs-0": "9"}}}, "local: field 'cs-0' must be a whole number"),
        ({"has_primary": "no"}, "field 'has_primary' must be true or false"),
    ],
)
def test_a_field_of_run_json_that_is_wrong_is_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(FieldError, match=says):
        RunRecord.from_json(RUN.to_json() | change)


def test_a_fault_that_healed_before_it_began_and_evidence_that_is_no_text_are_refused() -> None:
    window = {"kind": "kill", "target": "pg-0", "injected_ns": 5, "healed_ns": 4, "evidence": [], "proven": True}
    with pytest.raises(FieldError, match="'healed_ns' must be no earlier than injected_ns"):
        RunRecord.from_json(RUN.to_json() | {"fault_windows": [window]})
    with pytest.raises(FieldError, match="'evidence' must hold texts only, found 3"):
        RunRecord.from_json(RUN.to_json() | {"fault_windows": [window | {"healed_ns": 6, "evidence": [3]}]})


def test_a_run_record_lacks_no_field_silently() -> None:
    whole = RUN.to_json()
    for name in ("experiment", "engine", "fault", "settings", "boot_id", "wall_anchor", "fault_windows"):
        with pytest.raises(FieldError, match=f"field '{name}' is missing"):
            RunRecord.from_json({key: value for key, value in whole.items() if key != name})
