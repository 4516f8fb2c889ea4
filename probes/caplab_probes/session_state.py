"""What a session knows by its own operations, and builds the next ones on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from .links import Result
from .read_routing import ObservedLsns
from .workloads import Operation


@dataclass(slots=True)
class SessionState:
    """The values of keys as a session saw them last, and up to where it has seen the write-ahead log."""

    values: dict[str, int | None] = field(default_factory=dict)
    observed: ObservedLsns = field(default_factory=ObservedLsns)

    def with_expected(self, operation: Operation) -> Operation:
        """A cas expects the value that its session saw last; of a key that it never saw, nothing."""
        if operation.op != "cas":
            return operation
        return replace(operation, expected=self.values.get(operation.key or ""))

    def learn(self, operation: Operation, result: Result) -> None:
        """Take note of an acknowledged operation on a key that is compared and set."""
        if operation.workload != "cas" or operation.key is None:
            return
        if operation.op == "read":
            self.values[operation.key] = result.value
        else:
            took_effect = result.observed == operation.expected
            self.values[operation.key] = operation.value if took_effect else result.observed
