"""Which endpoint an operation goes to. One answer an operation: nothing is tried twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from .links import Endpoint, Topology
from .outcomes import OK, Outcome
from .workloads import Operation

# ok, and a write that is done there but not on enough standbys: a primary all the same. One that refuses for want
# of standbys (fail, no-quorum) may have been replaced already.
_STAY = (OK, Outcome("info", "no-quorum"))


class Router:
    """service: by the Service, as an application would. direct and any: straight to the members.

    Reads take the members in turn. Direct writes stay with the member that took the last one; when
    one was not acked, the next goes to the next member: how an application finds its primary. Where there is none,
    any member takes a write, and they take turns. Writes on route any take the members in turn whatever they say:
    how two primaries show.
    """

    def __init__(self, topology: Callable[[], Topology], has_primary: bool = True) -> None:
        self._topology = topology
        self._has_primary = has_primary
        self._turns: Counter[tuple[str, str]] = Counter()
        self._preferred = 0

    def choose(self, operation: Operation) -> Endpoint | None:
        """The operation's endpoint; None while none is known."""
        topology = self._topology()
        if operation.route == "service":
            return topology.service
        if not topology.members:
            return None
        if operation.op == "read" or operation.route == "any" or not self._has_primary:
            # A turn for each: operations of several kinds in a fixed order would each meet the same member for ever.
            turn = operation.route, operation.op
            self._turns[turn] += 1
            return topology.members[self._turns[turn] % len(topology.members)]
        return topology.members[self._preferred % len(topology.members)]

    def learn(self, operation: Operation, endpoint: Endpoint, outcome: Outcome) -> None:
        """Take note of what came back."""
        if not self._has_primary or operation.route != "direct" or operation.op == "read" or outcome in _STAY:
            return
        # Of many that hang on one member only the first moves the choice on.
        if self.choose(operation) == endpoint:
            self._preferred += 1
