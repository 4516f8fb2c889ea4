from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkers.histories import MS, ORIGIN_NS, SIDES, history, kill, operation, run_record, table
from support.effort import cases

from caplab.model.disorder import validate_stored
from caplab.model.fields import FieldError
from caplab.model.history import REQUIRED, SCHEMA, VALIDATED, validate
from caplab.model.runs import FinalScan, RunRecord


def test_a_history_is_sorted_by_invocation_and_equal_moments_keep_their_order() -> None:
    rows = [operation(2, key="x"), operation(1, key="y"), operation(2, key="z"), operation(0, key="w")]
    assert history(rows).column("key").to_pylist() == ["w", "y", "x", "z"]


def test_every_column_is_as_the_design_names_and_types_it() -> None:
    assert SCHEMA.names == [
        *["vantage", "session", "op", "key", "value", "expected", "observed", "level", "route", "server", "epoch"],
        *["scheduled_ns", "invoke_ns", "return_ns", "outcome", "error", "txn"],
    ]
    integers = {"value", "expected", "observed", "scheduled_ns", "invoke_ns", "return_ns"}
    for field in SCHEMA:
        if field.name == "txn":
            continue  # tests/unit/lab/test_transactions.py
        expected = pa.int32() if field.name == "session" else pa.int64() if field.name in integers else pa.string()
        assert field.type == expected


def test_missing_optional_columns_become_nulls_but_for_the_vantage_and_the_schedule() -> None:
    checked = validate(table([operation(3)]).select(list(REQUIRED)))
    assert REQUIRED == ("session", "op", "invoke_ns", "return_ns", "outcome")
    assert checked.schema == VALIDATED
    assert checked.column("vantage").to_pylist() == ["client"]
    assert checked.column("scheduled_ns").to_pylist() == [ORIGIN_NS + 3 * MS]
    assert checked.column("epoch").to_pylist() == [None]
    assert checked.column("value").to_pylist() == [None]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_column_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"no column '{name}'. Hint: add it"):
        validate(table([operation(0)]).drop_columns([name]))


def test_an_unknown_column_is_refused_since_it_may_be_a_misspelt_one() -> None:
    with pytest.raises(ValueError, match="Column 'retrun_ns' is not part of a history"):
        validate(table([operation(0)]).append_column("retrun_ns", pa.array([1])))


def test_a_column_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="Column 'op' occurs twice"):
        validate(table([operation(0)]).append_column("op", pa.array(["read"])))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"op": "wirte"}, "Row 2: column 'op' says 'wirte'. Hint: use one of write, read"),
        ({"outcome": "maybe"}, "Row 2: column 'outcome' says 'maybe'. Hint: use one of ok, fail, info"),
        ({"error": "oops"}, "Row 2: column 'error' says 'oops'"),
        ({"route": "round"}, "Row 2: column 'route' says 'round'"),
        ({"vantage": None}, "Row 2: column 'vantage' is null. Hint: give every operation its vantage"),
        ({"session": None}, "Row 2: column 'session' is null"),
        ({"scheduled_ns": None}, "Row 2: column 'scheduled_ns' is null"),
        ({"outcome": None}, "Row 2: column 'outcome' is null"),
        ({"return_ns": ORIGIN_NS - MS}, "Row 2: return_ns is before invoke_ns. Hint: take both from one clock"),
        ({"return_ns": 2**63 - 1}, "Row 2: return_ns is over 146 years away. Hint: count from a nearer moment"),
        ({"invoke_ns": -(2**62) - 1}, "Row 2: invoke_ns is over 146 years away"),
        ({"scheduled_ns": -(2**63)}, "Row 2: scheduled_ns is over 146 years away"),
        ({"return_ns": None}, "Row 2: it is ok, but return_ns is null. Hint: what never returned is info"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_with_its_number_its_column_and_the_hint(
    row: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        history([operation(0), operation(0, **row), operation(0)])


def test_of_several_bad_rows_the_first_is_named_as_it_stands_in_the_table() -> None:
    rows = [operation(5), operation(4, op="x"), operation(3, op="x"), operation(2, op="x")]
    with pytest.raises(ValueError, match=r"Row 2 \(and 2 more\): column 'op' says 'x'"):
        history(rows)


def test_an_operation_that_never_returned_is_info() -> None:
    assert history([operation(0, "info", None)]).column("return_ns").to_pylist() == [None]


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("session", pa.array([2**40]), "Row 1: column 'session' says 1099511627776, which does not fit int32"),
        ("value", pa.array([2**63], pa.uint64()), "Row 1: column 'value' says 9223372036854775808, .* fit int64"),
        ("session", pa.array(["1"]), "Column 'session' is string. Hint: write it as int32"),
        ("value", pa.array([1.5]), "Column 'value' is double. Hint: write it as int64"),
        ("key", pa.array([7]), "Column 'key' is int64. Hint: write it as string"),
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
    rows = table([operation(0, key="x")])
    encoded = [part.set_column(3, "key", part.column("key").dictionary_encode()) for part in (rows, rows)]
    whole = pa.concat_tables(encoded)
    whole = whole.set_column(1, "session", whole.column("session").cast(pa.int8()))
    assert validate(whole).column("key").to_pylist() == ["x", "x"]


def test_a_dictionary_that_has_a_word_twice_or_null_as_a_word_is_made_anew() -> None:
    whole = table([operation(0), operation(1), operation(2)])
    twice = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()), pa.array(["x", "x", None]))
    column = validate(whole.set_column(3, "key", twice)).column("key").combine_chunks()
    assert column.to_pylist() == ["x", "x", None]
    assert column.dictionary.to_pylist() == ["x"]


def test_a_history_without_operations_is_a_history() -> None:
    assert history([]).num_rows == 0


def test_a_validated_history_is_left_as_it_is() -> None:
    once = history([operation(1), operation(0, "fail", key="k", error="refused")])
    assert validate(once).schema == once.schema
    assert validate(once).to_pylist() == once.to_pylist()


RUN = run_record(
    fault_windows=(kill(), kill(healed_ms=None, proven=False)),
    has_primary=False,
    final_scan=FinalScan(
        converged=False, elements=None, server="pg-1", problem="pg-0 did not rejoin", local={"pg-2": 7}, invoke_ns=12
    ),
    settled_ns=12,
    images={"postgres": "caplab-registry:5000/postgres:1"},
    specs={"pg": {"replicas": 3}},
    sides=SIDES,
    prober_cores={"a": 0.12},
    prober_standstills={"b": 3.25},
)


def test_a_run_record_comes_back_from_json_as_it_was() -> None:
    assert RunRecord.from_json(RUN.to_json()) == RUN
    assert RunRecord.from_json(run_record().to_json()) == run_record()
    assert json.loads(json.dumps(RUN.to_json())) == RUN.to_json()
    assert RUN.to_json()["sides"] == {"minority": ["b"], "majority": ["a", "c"]}


def test_a_run_record_from_before_there_were_engines_without_a_primary_has_one() -> None:
    older = {name: value for name, value in RUN.to_json().items() if name != "has_primary"}
    older["final_scan"] = {"converged": True, "elements": 9, "server": "pg-1", "problem": ""}
    read = RunRecord.from_json(older)
    assert read.has_primary
    assert read.final_scan == FinalScan(converged=True, elements=9, server="pg-1")


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
        ({"prober_cores": {"a": True}}, "run.json.prober_cores: field 'a' must be a number of cores"),
        ({"prober_cores": {"a": 10**400}}, "run.json.prober_cores: field 'a' must be a number of cores"),
        ({"prober_standstills": {"a": "long"}}, "standstills: field 'a' must be a number of seconds, found 'long'"),
        ({"sides": ["b"]}, "run.json.sides: expected an object"),
        ({"sides": {"minority": "b"}}, "run.json.sides: field 'minority' must be a list, found 'b'"),
        ({"sides": {"minority": [2]}}, "run.json.sides: field 'minority' must hold texts only, found 2"),
        ({"sides": {"minority": ["b"], "majority": ["a", "b"]}}, "field 'majority' must be .* of one side only, found"),
        ({"sides": {"minority": ["b", "b"]}}, "field 'minority' must be a list of vantages, each named once"),
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


def test_a_run_whose_fault_parts_no_zones_has_no_sides_and_a_side_may_be_empty() -> None:
    whole = run_record().to_json()
    assert whole["sides"] == RunRecord.from_json(whole).sides == {}
    assert RunRecord.from_json({name: value for name, value in whole.items() if name != "sides"}).sides == {}
    assert RunRecord.from_json(whole | {"sides": {"majority": []}}).sides == {"majority": ()}


def test_a_run_record_lacks_no_field_silently() -> None:
    whole = RUN.to_json()
    for name in ("experiment", "engine", "fault", "settings", "boot_id", "wall_anchor", "fault_windows"):
        with pytest.raises(FieldError, match=f"field '{name}' is missing"):
            RunRecord.from_json({key: value for key, value in whole.items() if key != name})


def test_a_stored_history_without_operations_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has no operations\. Hint: record some"):
        validate_stored(table([]))


def test_a_stored_history_stays_in_its_order_and_must_be_sorted() -> None:
    rows = [operation(0, key="x", session=1), operation(0, key="y", session=2), operation(1, key="z", session=3)]
    assert validate_stored(table(rows)).column("key").to_pylist() == ["x", "y", "z"]
    with pytest.raises(ValueError, match=r"Row 3: invoke_ns 1 is before that of the row above, 2. Hint: sort"):
        validate_stored(table([{**operation(0), "invoke_ns": ns, "return_ns": 9} for ns in (0, 2, 1)]))


def test_a_read_that_has_what_it_found_in_observed_is_refused_since_it_would_pass_for_nothing() -> None:
    fitting = [
        operation(0, op="cas", value=2, expected=1, observed=3, session=1),
        operation(1, op="scan", value=2, observed=9, session=2),
        operation(2, op="read", value=2, observed=2, session=3),
        operation(3, op="read", value=None, observed=None, session=4),
    ]
    assert validate_stored(table(fitting)).num_rows == 4
    for value in (None, 1):
        misplaced = operation(4, op="read", value=value, observed=2, session=5)
        with pytest.raises(ValueError, match=r"Row 5: a read has its result in observed\. Hint: write it in"):
            validate_stored(table([*fitting, misplaced]))


def within(session: int, first: int, last: int | None, **columns: Any) -> dict[str, Any]:
    outcome = "info" if last is None else "ok"
    return {**operation(0, outcome, session=session, **columns), "invoke_ns": first, "return_ns": last}


@pytest.mark.parametrize(
    "rows",
    [
        [within(1, 0, 5), within(1, 5, 9)],  # the next begins as the last one ends
        [within(1, 0, 5), within(2, 3, 9)],
        [within(1, 0, 5), within(1, 3, 9, vantage="b")],
        [within(1, 0, None), within(1, 3, 9)],  # what never returned holds nothing up
        [within(1, 0, 5), within(1, 3, 9, op="scan")],
        [within(1, 0, 5), {**within(1, 3, 3, error="overload"), "outcome": "fail"}],
        [within(1, 5, 9), within(1, 5, 5)],  # at one moment the shorter one may have been the first
        [within(-(2**31), 0, 5), within(2**31 - 1, 0, 5), within(0, 0, 5)],
    ],
)
def test_sessions_with_one_operation_at_a_time_are_taken(rows: list[dict[str, Any]]) -> None:
    assert validate_stored(table(rows)).num_rows == len(rows)


def test_a_session_with_two_operations_at_a_time_is_refused_and_both_are_named() -> None:
    rows = [within(1, 0, 7), within(2, 1, 2), within(2, 2, 9), within(1, 6, 8)]
    says = r"Rows 1 and 4: session 1 of vantage 'a' has two operations at a time \(one returned at 7, the other was"
    with pytest.raises(ValueError, match=says + r" invoked at 6\). Hint: give every concurrent client"):
        validate_stored(table(rows))
    with pytest.raises(ValueError, match="Rows 1 and 2"):
        validate_stored(table([within(70_000 * number, 0, 7) for number in (0, 0, 1, 2)]))


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 9), st.none() | st.integers(0, 3)), min_size=1, max_size=7))
@settings(max_examples=cases(300))
def test_overlaps_are_those_of_some_order_of_each_session(drawn: list[tuple[int, int, int | None]]) -> None:
    """One by one: a session fits if its operations, the shorter first at one moment, each wait for the one before."""
    rows = sorted(drawn, key=lambda entry: entry[1])
    fits = True
    for session in (1, 2):
        mine = sorted((first, -1 if took is None else first + took) for who, first, took in rows if who == session)
        fits &= all(earlier[1] <= other[0] for earlier, other in pairwise(mine))
    made = table([within(who, first, None if took is None else first + took) for who, first, took in rows])
    if fits:
        assert validate_stored(made).num_rows == len(rows)
    else:
        with pytest.raises(ValueError, match="two operations at a time"):
            validate_stored(made)
