"""The partition: packets between a pod and others are dropped in the pod's own network namespace.

Each fault has one table of rules there. If no agent is left, the kernel ends the cut when the fault's time is over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Self, TypeVar

from caplab.contract.phases import ACTIVE

from ...clock import Clock
from ...faults import Assignment, Body, FaultRecord, Heal, Key
from ...injector import (
    FaultInjector,
    HealResult,
    Newest,
    Node,
    PodReader,
    ended,
    failed,
    gone,
    seconds_held,
    seconds_left,
    wait_for,
)
from .addresses import AddressRefused, Partition, has_host_ip, own_addresses, permitted
from .evidence import NOTHING, first_drop_ns, with_counts, with_drops, with_new_network
from .netns import Namespace, Namespaces, ProcessMoved
from .rules import GRACE_MS, DropAddresses, DropCounters
from .tables import DropTables

_TRIES = 3  # a pod's processes come and go
_SOONEST_NS, _LATEST_NS = 200_000_000, 2_000_000_000  # between two reads of the counters, until the first packet
_T = TypeVar("_T")


class PartitionInjector(FaultInjector):
    """The injector of partition faults."""

    def __init__(
        self, clock: Clock, namespaces: Namespaces, read_pod: PodReader, newest: Newest = lambda assignment: assignment
    ) -> None:
        self._clock = clock
        self._namespaces = namespaces
        self._tables = DropTables(namespaces)
        self._read_pod = read_pod
        self._newest = newest
        # Where the rules are, and when they were last read. Both are caches: an agent that starts finds out again.
        self._cached: dict[Key, Namespace] = {}
        self._read_ns: dict[Key, int] = {}

    @classmethod
    def on(cls, node: Node) -> Self:
        """Make the injector of a node."""
        return cls(node.clock, Namespaces(node.proc, node.cgroups, node.start), node.read_pod, node.newest)

    def guard(self, assignment: Assignment, pod: Body) -> str:
        """Refuse a pod whose node's address is not known yet, unless it is waited for: inject permits the addresses."""
        if assignment.replaces or has_host_ip(pod):
            return ""
        return (
            f"the status of pod {assignment.pod} has no hostIP, so the pod could be cut off from its own node. "
            "Hint: create the fault again, so that its target is resolved again."
        )

    def inject(self, record: FaultRecord, pod: Body, stopped: threading.Event) -> FaultRecord | None:
        """Install the rules in the pod's network. The proof is the first dropped packet, which poll detects."""
        assignment = record.assignment
        namespace = wait_for(lambda: self._running(assignment), record, stopped, self._clock)
        placed = wait_for(lambda: self._placed(assignment, pod), record, stopped, self._clock) if namespace else None
        if stopped.is_set() or (assignment.replaces and placed is None):
            return None
        if namespace is None or self._namespaces.is_the_nodes(namespace):
            return failed(record, _no_network(assignment, namespace))
        # While it waited, pods came and went: the injection's time counts for all that are asked for by now.
        assignment = self._newest(assignment)
        record = replace(record, assignment=assignment, protected_addresses=own_addresses(placed))
        try:
            return self._cut(record, _permitted(record, assignment))
        except AddressRefused as refused:
            return failed(record, str(refused))

    def heal(self, record: FaultRecord, heal: Heal) -> FaultRecord:
        """Delete this fault's table, and read its counters a last time."""
        assignment, began = record.assignment, self._clock.now()
        self._forget(assignment.key)
        try:
            removed = self._in_network(
                assignment, lambda namespace: (namespace, self._tables.remove(namespace, assignment.fault_uid))
            )
        except OSError as error:
            if seconds_left(record, self._clock) > -GRACE_MS / 1000:
                raise
            note = f"the cut had ended by itself, and the rules could not be deleted: {error}"
            return ended(record, heal, HealResult((note,), held=False), began, self._clock)
        record, result = self._heal_result(record, *removed) if removed else (record, self._without_process(record))
        notes = result.notes if record.proven or result.gone else (NOTHING, *result.notes)
        return ended(record, heal, replace(result, notes=notes), began, self._clock)

    def update(self, record: FaultRecord, assignment: Assignment) -> FaultRecord:
        """Drop the packets of the assignment's addresses from now on, and keep the counters."""
        try:
            drops = _permitted(record, assignment)
        except AddressRefused as refused:
            return replace(record, problem=str(refused))  # the rules in force stay

        def change(namespace: Namespace) -> bool:
            if namespace.inode == record.netns:
                self._tables.change(namespace, assignment.fault_uid, drops, seconds_left(record, self._clock))
            return True  # in another namespace, poll installs all rules

        if not self._in_network(assignment, change):
            return record
        return replace(record, assignment=assignment, problem="", evidence=with_drops(record.evidence, drops))

    def poll(self, record: FaultRecord) -> FaultRecord:
        """Check whether a packet was dropped, whether the pod is gone, and whether its network still has the rules."""
        assignment = record.assignment
        cached = self._cached.get(assignment.key)
        if cached is not None and self._namespaces.inode(cached.pid) == record.netns:
            return record if record.proven or not self._is_due(record) else self._read_counters(record, cached)
        if self._namespaces.group(assignment.pod_uid) is None:
            self._forget(assignment.key)
            return gone(record, self._until_gone(record), self._clock)
        return self._in_network(assignment, lambda namespace: self._relocated(record, cached, namespace)) or record

    def _relocated(self, record: FaultRecord, cached: Namespace | None, namespace: Namespace) -> FaultRecord:
        """Check the rules after the pod's process has changed, and install them again if its network has too."""
        if namespace.inode == record.netns:
            counters = self._tables.read(namespace, record.assignment.fault_uid)
            self._cached[record.assignment.key] = namespace
            if counters is not None:
                return self._with_counters(record, counters)
            if cached is None:  # the rules went while no agent ran: heal notices, and takes the proof away
                return record
            # The process is gone, and the rules with it: this is a new network that got the old one's inode.
        self._put(record, _permitted(record, record.assignment), namespace)
        self._cached[record.assignment.key] = namespace
        now = self._clock.now()
        evidence = with_new_network(record.evidence, now.ns - (record.injected_ns or 0), anew=not record.proven)
        record = replace(record, netns=namespace.inode, evidence=evidence)
        # Until the first drop nothing shows that the old network was cut, and the new one was open until now.
        return record if record.proven else replace(record, injected_ns=now.ns, injected_at=now.stamp)

    def _cut(self, record: FaultRecord, drops: DropAddresses) -> FaultRecord:
        assignment = record.assignment
        try:
            namespace = self._in_network(assignment, lambda namespace: self._put(record, drops, namespace))
        except OSError as error:
            self._clear(assignment)
            return failed(record, f"the pod could not be cut off: {error}")
        now = self._clock.now()
        if namespace is None:
            return failed(record, _no_network(assignment, None))
        self._cached[assignment.key] = namespace
        active = replace(record, state=ACTIVE, injected_ns=now.ns, injected_at=now.stamp, netns=namespace.inode)
        return replace(active, evidence=with_drops((), drops))

    def _put(self, record: FaultRecord, drops: DropAddresses, namespace: Namespace) -> Namespace:
        self._tables.put(namespace, record.assignment.fault_uid, drops, seconds_left(record, self._clock))
        return namespace

    def _clear(self, assignment: Assignment) -> None:
        """Remove the table after a failure: a program that took too long may have installed it all the same."""
        with suppress(OSError):
            self._in_network(assignment, lambda namespace: self._tables.remove(namespace, assignment.fault_uid))

    def _read_counters(self, record: FaultRecord, namespace: Namespace) -> FaultRecord:
        self._read_ns[record.assignment.key] = self._clock.now().ns
        counters = self._tables.read(namespace, record.assignment.fault_uid)
        return record if counters is None else self._with_counters(record, counters)

    def _with_counters(self, record: FaultRecord, counters: DropCounters) -> FaultRecord:
        if not counters.dropped or record.injected_ns is None:
            return record
        now = self._clock.now().ns
        first = record.effective_ns or first_drop_ns(counters, now, record.injected_ns)
        evidence = with_counts(record.evidence, counters, now, record.injected_ns)
        return replace(record, proven=True, effective_ns=first, evidence=evidence)

    def _is_due(self, record: FaultRecord) -> bool:
        """Check whether to read the counters now: the longer no packet was dropped, the less often.

        Nothing is missed, as the kernel notes when the first one came.
        """
        now = self._clock.now().ns
        pause = min(max((now - (record.injected_ns or now)) // 8, _SOONEST_NS), _LATEST_NS)
        return now >= self._read_ns.get(record.assignment.key, 0) + pause

    def _heal_result(
        self, record: FaultRecord, namespace: Namespace, counters: DropCounters | None
    ) -> tuple[FaultRecord, HealResult]:
        if counters is not None:
            partition = _partition(record.assignment)
            expired = not counters.in_force and bool(partition.drops_from or partition.drops_to)
            notes = ("the cut had ended by itself before the agent healed",) if expired else ()
            return self._with_counters(record, counters), HealResult(notes, held=not expired)
        if namespace.inode == record.netns:
            return record, HealResult(("the rules were already gone at heal: somebody removed them",), held=False)
        return record, HealResult(("the pod's network was recreated right before heal, and had no rules yet",))

    def _without_process(self, record: FaultRecord) -> HealResult:
        if self._namespaces.group(record.assignment.pod_uid) is None:
            return HealResult((self._until_gone(record),), gone=True)
        return HealResult(("no process of the pod ran at heal",))

    def _until_gone(self, record: FaultRecord) -> str:
        return f"cut off for {seconds_held(record, self._clock)}, until the pod was gone"

    def _forget(self, key: Key) -> None:
        self._cached.pop(key, None)
        self._read_ns.pop(key, None)

    def _in_network(self, assignment: Assignment, step: Callable[[Namespace], _T]) -> _T | None:
        """Run a step in the pod's own network namespace; None: it has none at present."""
        for _ in range(_TRIES):
            namespace = self._namespaces.find(assignment.pod_uid)
            if namespace is None or self._namespaces.is_the_nodes(namespace):
                return None
            with suppress(ProcessMoved):
                return step(namespace)
        raise OSError(f"the processes of pod {assignment.pod} come and go too quickly to enter its network")

    def _running(self, assignment: Assignment) -> Namespace | None:
        """Find the pod's namespace; a sandbox that is being created is in the node's own for a moment."""
        namespace = self._namespaces.find(assignment.pod_uid)
        return None if namespace and assignment.replaces and self._namespaces.is_the_nodes(namespace) else namespace

    def _placed(self, assignment: Assignment, pod: Body) -> Body | None:
        current = pod if has_host_ip(pod) or not assignment.replaces else self._read_pod(assignment)
        return current if has_host_ip(current) else None


def _partition(assignment: Assignment) -> Partition:
    assert isinstance(assignment.action, Partition)
    return assignment.action


def _permitted(record: FaultRecord, assignment: Assignment) -> DropAddresses:
    return permitted(_partition(assignment), record.protected_addresses)


def _no_network(assignment: Assignment, namespace: Namespace | None) -> str:
    if namespace is None:
        return (
            f"no process of pod {assignment.pod} runs on this node, so nothing was cut. "
            "Hint: wait until the member is up"
        )
    return (
        f"pod {assignment.pod} is in its node's own network, where a cut would hit the whole node. "
        "Hint: do not use hostNetwork for members"
    )
