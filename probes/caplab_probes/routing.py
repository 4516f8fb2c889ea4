"""Which endpoint an operation goes to. One answer an operation: nothing is tried twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from .links import Endpoint, Topology
from .outcomes import OK, Outcome
from .spec import REPLICA
from .workloads import Operation

# ok, and a write that is done there but not on enough standbys: a primary all the same. One that refuses for want
# of standbys (fail, no-quorum) may have been replaced already.
_STILL_PRIMARY = (OK, Outcome("info", "no-quorum"))


class Router:
    """service: by the Service, as an application would. direct and any: straight to the members.

    Reads take the members in turn. Direct writes stay with the member that took the last one; when
    one was not acked, the next goes to the next member: how an application finds its primary. Where there is none,
    any member takes a write, and they take turns. Writes on route any take the members in turn whatever they say:
    how two primaries show.

    replica: reads take the replicas in turn, writes go by the Service. A replica is a member that did not answer as a
    primary last; the label that says so in Kubernetes is old on a member that is cut off.
    """

    def __init__(self, topology: Callable[[], Topology], has_primary: bool = True) -> None:
        self._topology = topology
        self._has_primary = has_primary
        self._turns: Counter[tuple[str, str]] = Counter()
        self._preferred = 0
        self._primary: str | None = None  # who answered as one last

    def choose(self, operation: Operation) -> Endpoint | None:
        """The operation's endpoint; None while none is known."""
        topology = self._topology()
        if operation.route == "service":
            return topology.service
        if operation.route == REPLICA:
            return self._replica(topology) if operation.op == "read" else self.primary()
        if not topology.members:
            return None
        if operation.op == "read" or operation.route == "any" or not self._has_primary:
            # A turn for each: operations of several kinds in a fixed order would each meet the same member for ever.
            turn = operation.route, operation.op
            self._turns[turn] += 1
            return topology.members[self._turns[turn] % len(topology.members)]
        return topology.members[self._preferred % len(topology.members)]

    def primary(self) -> Endpoint | None:
        """Where the primary is found on the route replica: by the Service; where there is none, as on direct."""
        topology = self._topology()
        if topology.service is not None or not topology.members:
            return topology.service
        return topology.members[self._preferred % len(topology.members)]

    def note_role(self, server: str | None, primary: bool) -> None:
        """Take note of how a member answered."""
        if primary:
            self._primary = server
        elif self._primary == server:
            self._primary = None

    def _replica(self, topology: Topology) -> Endpoint | None:
        replicas = [member for member in topology.members if member.name != self._primary]
        if not replicas:
            return None
        self._turns[REPLICA, "read"] += 1
        return replicas[self._turns[REPLICA, "read"] % len(replicas)]

    def learn(self, operation: Operation, endpoint: Endpoint, outcome: Outcome) -> None:
        """Take note of what came back."""
        if not self._has_primary or operation.op == "read" or outcome in _STILL_PRIMARY:
            return
        if operation.route not in ("direct", REPLICA) or endpoint.name == "service":
            return
        # Of many that hang on one member only the first moves the choice on.
        if self.choose(operation) == endpoint:
            self._preferred += 1
