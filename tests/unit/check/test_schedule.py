from __future__ import annotations

import pyarrow as pa  # type: ignore[import-untyped]

from caplab.check import CHECKERS, Context, State, check_history
from caplab.check.schedule import NAME
from caplab.model.runs import FaultWindow


def history(late_ms: list[float], op: str = "add") -> pa.Table:
    rows = [
        {
            "vantage": "a",
            "session": 1,
            "op": op,
            "value": number,
            "scheduled_ns": number * 10_000_000,
            "invoke_ns": number * 10_000_000 + int(late * 1e6),
            "return_ns": number * 10_000_000 + int(late * 1e6) + 1,
            "outcome": "ok",
        }
        for number, late in enumerate(late_ms)
    ]
    return pa.Table.from_pylist(rows)


def outcome_of(late_ms: list[float], context: Context | None = None) -> tuple[State, float | None]:
    (finding,) = check_history(history(late_ms), context or Context(), [NAME])
    ratio = finding.figures.get("on_time_ratio")
    return finding.state, ratio if isinstance(ratio, float) else None


def test_a_load_on_time_holds_and_a_late_one_is_doubtful() -> None:
    assert outcome_of([1.0] * 100) == (State.HOLDS, 1.0)
    assert outcome_of([1.0] * 99 + [6.0]) == (State.HOLDS, 0.99)
    assert outcome_of([1.0] * 98 + [6.0] * 2) == (State.UNKNOWN, 0.98)


def test_only_the_steady_state_counts() -> None:
    late = [9.0] * 30 + [1.0] * 100 + [9.0] * 300
    window = FaultWindow(kind="kill", target="pg-0", injected_ns=130 * 10_000_000, healed_ns=None)
    assert outcome_of(late, Context(fault_windows=(window,), steady_ns=30 * 10_000_000)) == (State.HOLDS, 1.0)
    assert outcome_of(late)[0] is State.UNKNOWN


def test_too_few_operations_say_nothing_and_scans_are_none() -> None:
    assert outcome_of([1.0] * 19) == (State.UNKNOWN, None)
    (finding,) = check_history(history([1.0] * 50, op="scan"), Context(), [NAME])
    assert finding.state is State.UNKNOWN
    assert NAME in CHECKERS
