"""What the kind tests say of a load under which something changed: which operations were not acked."""

from __future__ import annotations

from typing import Any, cast

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
import pytest
from support.kind.measured_load import SECOND_NS, Measured

from caplab.model.history import SCHEMA


def operation(at_seconds: int, outcome: str, vantage: str = "a") -> dict[str, Any]:
    at_ns = at_seconds * SECOND_NS
    return {
        "vantage": vantage, "session": 0, "op": "add", "value": at_seconds, "route": "service", "server": "rd-0",
        "scheduled_ns": at_ns, "invoke_ns": at_ns, "return_ns": at_ns + SECOND_NS, "outcome": outcome,
        "error": None if outcome == "ok" else "timeout",
    }  # fmt: skip


def measured(*rows: dict[str, Any]) -> Measured:
    return Measured(cast("Any", None), history=pa.Table.from_pylist(list(rows), schema=SCHEMA))


def test_a_load_is_judged_from_each_zones_first_ack_on() -> None:
    measured(operation(1, "fail"), operation(2, "ok"), operation(3, "ok", "b")).assert_all_acked(route="service")


@pytest.mark.parametrize(
    "rows",
    [
        (operation(1, "ok"), operation(2, "fail"), operation(3, "ok")),
        (operation(1, "ok"), operation(2, "info", "b")),
        (operation(1, "fail"),),
    ],
    ids=["between acks", "in a zone without an ack", "without any ack"],
)
def test_an_operation_that_was_not_acked_is_found(rows: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(AssertionError, match="timeout"):
        measured(*rows).assert_all_acked(route="service")
