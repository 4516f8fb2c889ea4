"""What a session knows from its own operations, which its next ones build on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..links import Result
from ..routing.reads import ObservedLsns
from .workloads import Operation


@dataclass(slots=True)
class SessionState:
    """The values of keys as a session saw them last, and its observed LSNs."""

    values: dict[str, int | None] = field(default_factory=dict)
    observed: ObservedLsns = field(default_factory=ObservedLsns)

    def with_expected(self, operation: Operation) -> Operation:
        """Give a cas the value that its session saw last as the expected one; None for a key that it never saw."""
        if operation.op != "cas":
            return operation
        return replace(operation, expected=self.values.get(operation.key or ""))

    def learn(self, operation: Operation, result: Result) -> None:
        """Note an acknowledged operation on a key that is compared and set."""
        if operation.workload != "cas" or operation.key is None:
            return
        if operation.op == "read":
            self.values[operation.key] = result.value
        else:
            took_effect = result.observed == operation.expected
            self.values[operation.key] = operation.value if took_effect else result.observed
