"""Routing: which endpoint an operation goes to. Each operation gets one endpoint: nothing is retried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from caplab.contract.objects import REPLICA

from ..links import Endpoint, Topology
from ..load.workloads import Operation
from ..outcomes import CONFLICT, OK, Outcome

# ok, and a write that happened there but not on enough standbys: the member is a primary all the same. One that refuses
# for want of standbys (fail, no-quorum) may have been replaced already.
# A transaction that conflicts with another one was served, too.
_STILL_PRIMARY = (OK, Outcome("info", "no-quorum"), CONFLICT)


class Router:
    """Chooses endpoints by route.

    service: by the Service, as an application would. direct and any: straight to the members.

    Reads take the members in turn. Direct writes stay with the member that took the last one; when
    one was not acked, the next goes to the next member: how an application finds its primary. If the engine has no
    primary, any member takes a write, and they take turns. Writes on route any take the members in turn whatever the
    outcome: how two primaries show.

    Transactions, also those that only read, go where writes go, except on the route replica: they show what a primary
    promises.

    replica: reads take the replicas in turn, writes go by the Service. A replica is a member that did not answer as a
    primary last; its label in Kubernetes is out of date on a member that is cut off.
    """

    def __init__(self, topology: Callable[[], Topology], has_primary: bool = True) -> None:
        self._topology = topology
        self._has_primary = has_primary
        self._turns: Counter[tuple[str, str]] = Counter()
        self._preferred = 0
        self._primary: str | None = None  # the members that answered as one last

    def choose(self, operation: Operation) -> Endpoint | None:
        """Return the operation's endpoint; None while none is known."""
        topology = self._topology()
        if operation.route == "service":
            return topology.service
        if operation.route == REPLICA:
            return self._replica(topology) if operation.only_reads else self.primary()
        if not topology.members:
            return None
        if operation.op == "read" or operation.route == "any" or not self._has_primary:
            # Each kind has its own turn: kinds in a fixed order would each meet the same member for ever.
            turn = operation.route, operation.op
            self._turns[turn] += 1
            return topology.members[self._turns[turn] % len(topology.members)]
        return topology.members[self._preferred % len(topology.members)]

    def primary(self) -> Endpoint | None:
        """Return where the primary is on the route replica: the Service; if there is none, as on direct."""
        topology = self._topology()
        if topology.service is not None or not topology.members:
            return topology.service
        return topology.members[self._preferred % len(topology.members)]

    def note_role(self, server: str | None, primary: bool) -> None:
        """Note whether a member answered as a primary."""
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
        """Note the outcome of an operation."""
        if not self._has_primary or operation.op == "read" or outcome in _STILL_PRIMARY:
            return
        if operation.route not in ("direct", REPLICA) or endpoint.name == "service":
            return
        # If many operations hang on one member, only the first moves the choice on.
        if self.choose(operation) == endpoint:
            self._preferred += 1
