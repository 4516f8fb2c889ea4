"""Which endpoint an operation goes to. One answer an operation: nothing is tried twice."""

from __future__ import annotations

from collections.abc import Callable

from .links import Endpoint, Topology
from .outcomes import OK, Outcome
from .workloads import Operation

# ok, and a write that is done there but not on enough standbys: a primary all the same. One that refuses for want
# of standbys (fail, no-quorum) may have been replaced already.
_STAY = (OK, Outcome("info", "no-quorum"))


class Router:
    """service: the primary's Service, as an application would. direct and any: straight to the members.

    Reads take the members in turn. Direct writes stay with the member that took the last one; when
    one was not acked, the next goes to the next member: how an application finds its primary. Writes on
    route any take the members in turn whatever they say: how two primaries show.
    """

    def __init__(self, topology: Callable[[], Topology]) -> None:
        self._topology = topology
        self._turn = 0
        self._preferred = 0

    def choose(self, operation: Operation) -> Endpoint | None:
        """The operation's endpoint; None while none is known."""
        topology = self._topology()
        if operation.route == "service":
            return topology.service
        if not topology.members:
            return None
        if operation.op == "read" or operation.route == "any":
            self._turn += 1
            return topology.members[self._turn % len(topology.members)]
        return topology.members[self._preferred % len(topology.members)]

    def learn(self, operation: Operation, endpoint: Endpoint, outcome: Outcome) -> None:
        """Take note of what came back."""
        if operation.route != "direct" or operation.op == "read" or outcome in _STAY:
            return
        # Of many that hang on one member only the first moves the choice on.
        if self.choose(operation) == endpoint:
            self._preferred += 1
