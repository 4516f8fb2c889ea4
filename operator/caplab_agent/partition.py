"""The partition: packets between a pod and others are dropped in the pod's own network namespace.

A fault's rules are one table there. The kernel itself ends the cut when the time is over and no agent is left to do it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from .clock import Clock
from .drop_evidence import NOTHING, anew, asked, counted, first_ns
from .drop_rules import GRACE_MS, Seen
from .faults import ACTIVE, Body, Entry, Key, Order, Partition
from .guard import Refused, knows_its_node, own_addresses, permitted
from .means import Found, Reread, awaited, ended, failed, gone, seconds_held, seconds_left
from .netns import Moved, Namespace, Namespaces
from .plan import Heal
from .tables import Tables

_TRIES = 3  # a pod's processes come and go
_SOONEST_NS, _LATEST_NS = 200_000_000, 2_000_000_000  # between two looks for the first packet
_T = TypeVar("_T")


class Partitioning:
    """Means of partition faults."""

    def __init__(self, clock: Clock, namespaces: Namespaces, reread: Reread) -> None:
        self._clock = clock
        self._namespaces = namespaces
        self._tables = Tables(namespaces)
        self._reread = reread
        # Where the rules are and when they were read last: who does not know finds out.
        self._known: dict[Key, Namespace] = {}
        self._read_ns: dict[Key, int] = {}

    def inject(self, entry: Entry, pod: Body, stopped: threading.Event) -> Entry | None:
        """Put the rules into the pod's network. The proof comes with the first packet, which tend sees."""
        order = entry.order
        namespace = awaited(lambda: self._running(order), entry, stopped, self._clock)
        known = awaited(lambda: self._placed(order, pod), entry, stopped, self._clock) if namespace else None
        if stopped.is_set() or (order.replaces and known is None):
            return None
        if namespace is None or self._namespaces.is_the_nodes(namespace):
            return failed(entry, _nowhere(order, namespace))
        return self._cut(replace(entry, spared=own_addresses(known)))

    def heal(self, entry: Entry, heal: Heal) -> Entry:
        """Delete this fault's table, with a last look at what it dropped."""
        order, began = entry.order, self._clock.now()
        self._forget(order.key)
        try:
            was = self._within(order, lambda where: (where, self._tables.remove(where, order.fault_uid)))
        except OSError as error:
            if seconds_left(entry, self._clock) > -GRACE_MS / 1000:
                raise
            note = f"the cut had ended by itself, and the rules could not be deleted: {error}"
            return ended(entry, heal, Found((note,), held=False), began, self._clock)
        entry, found = self._found(entry, *was) if was else (entry, self._found_nowhere(entry))
        notes = found.notes if entry.proven or found.gone else (NOTHING, *found.notes)
        return ended(entry, heal, replace(found, notes=notes), began, self._clock)

    def adjust(self, entry: Entry, order: Order) -> Entry:
        """Drop the packets of the addresses that are asked for now; what was counted stays."""
        try:
            drops = permitted(_partition(order), entry.spared)
        except Refused as refused:
            return replace(entry, problem=str(refused))  # what is in force stays so

        def change(where: Namespace) -> bool:
            if where.inode == entry.netns:
                self._tables.change(where, order.fault_uid, drops, seconds_left(entry, self._clock))
            return True  # in another namespace, tend puts in all there is

        if not self._within(order, change):
            return entry
        return replace(entry, order=order, problem="", evidence=asked(entry.evidence, drops))

    def tend(self, entry: Entry) -> Entry:
        """Whether a packet was dropped, whether the pod is gone, and whether its network is the one with the rules."""
        order = entry.order
        known = self._known.get(order.key)
        if known is not None and self._namespaces.inode(known.pid) == entry.netns:
            return entry if entry.proven or not self._is_due(entry) else self._looked(entry, known)
        if self._namespaces.group(order.pod_uid) is None:
            self._forget(order.key)
            return gone(entry, self._until_gone(entry), self._clock)
        return self._within(order, lambda where: self._sought(entry, known, where)) or entry

    def _sought(self, entry: Entry, known: Namespace | None, where: Namespace) -> Entry:
        """The pod's process is another one than before, and so may its network be."""
        if where.inode == entry.netns:
            seen = self._tables.look(where, entry.order.fault_uid)
            self._known[entry.order.key] = where
            if seen is not None:
                return self._told(entry, seen)
            if known is None:  # the rules went while there was no agent: heal finds that, and takes the proof away
                return entry
            # The process is gone, and the rules with it: another network that was given the number of the one before.
        self._put(entry, where)
        self._known[entry.order.key] = where
        after_ns = self._clock.now().ns - (entry.injected_ns or 0)
        return replace(entry, netns=where.inode, evidence=anew(entry.evidence, after_ns))

    def _cut(self, entry: Entry) -> Entry:
        order = entry.order
        try:
            drops = permitted(_partition(order), entry.spared)
            where = self._within(order, lambda where: self._put(entry, where))
        except Refused as refused:
            return failed(entry, str(refused))
        except OSError as error:
            self._clear(order)
            return failed(entry, f"the pod could not be cut off: {error}")
        now = self._clock.now()
        if where is None:
            return failed(entry, _nowhere(order, None))
        self._known[order.key] = where
        told = replace(entry, state=ACTIVE, injected_ns=now.ns, injected_at=now.stamp, netns=where.inode)
        return replace(told, evidence=asked((), drops))

    def _put(self, entry: Entry, where: Namespace) -> Namespace:
        drops = permitted(_partition(entry.order), entry.spared)
        self._tables.put(where, entry.order.fault_uid, drops, seconds_left(entry, self._clock))
        return where

    def _clear(self, order: Order) -> None:
        """A program that took too long may have done its work all the same."""
        with suppress(OSError):
            self._within(order, lambda where: self._tables.remove(where, order.fault_uid))

    def _looked(self, entry: Entry, where: Namespace) -> Entry:
        self._read_ns[entry.order.key] = self._clock.now().ns
        seen = self._tables.look(where, entry.order.fault_uid)
        return entry if seen is None else self._told(entry, seen)

    def _told(self, entry: Entry, seen: Seen) -> Entry:
        if not seen.dropped or entry.injected_ns is None:
            return entry
        now = self._clock.now().ns
        first = entry.effective_ns or first_ns(seen, now, entry.injected_ns)
        evidence = counted(entry.evidence, seen, now, entry.injected_ns)
        return replace(entry, proven=True, effective_ns=first, evidence=evidence)

    def _is_due(self, entry: Entry) -> bool:
        """The longer nothing was dropped, the less often it is looked for: the kernel knows when the first one was."""
        now = self._clock.now().ns
        pause = min(max((now - (entry.injected_ns or now)) // 8, _SOONEST_NS), _LATEST_NS)
        return now >= self._read_ns.get(entry.order.key, 0) + pause

    def _found(self, entry: Entry, where: Namespace, seen: Seen | None) -> tuple[Entry, Found]:
        if seen is not None:
            what = _partition(entry.order)
            expired = not seen.cuts and bool(what.drops_from or what.drops_to)
            notes = ("the cut had ended by itself before the agent healed",) if expired else ()
            return self._told(entry, seen), Found(notes, held=not expired)
        if where.inode == entry.netns:
            return entry, Found(("the rules were not there any more at heal: somebody removed them",), held=False)
        return entry, Found(("the pod's network was made anew right before heal, and held no rules yet",))

    def _found_nowhere(self, entry: Entry) -> Found:
        if self._namespaces.group(entry.order.pod_uid) is None:
            return Found((self._until_gone(entry),), gone=True)
        return Found(("no process of the pod ran at heal",))

    def _until_gone(self, entry: Entry) -> str:
        return f"cut off for {seconds_held(entry, self._clock)}, until the pod was gone"

    def _forget(self, key: Key) -> None:
        self._known.pop(key, None)
        self._read_ns.pop(key, None)

    def _within(self, order: Order, do: Callable[[Namespace], _T]) -> _T | None:
        """Do something in the pod's own network namespace; None: it has none at present."""
        for _ in range(_TRIES):
            where = self._namespaces.find(order.pod_uid)
            if where is None or self._namespaces.is_the_nodes(where):
                return None
            with suppress(Moved):
                return do(where)
        raise OSError(f"the processes of pod {order.pod} come and go too quickly to enter its network")

    def _running(self, order: Order) -> Namespace | None:
        """A sandbox that is being made is in the node's namespace for a moment."""
        found = self._namespaces.find(order.pod_uid)
        return None if found and order.replaces and self._namespaces.is_the_nodes(found) else found

    def _placed(self, order: Order, pod: Body) -> Body | None:
        known = pod if knows_its_node(pod) or not order.replaces else self._reread(order)
        return known if knows_its_node(known) else None


def _partition(order: Order) -> Partition:
    assert isinstance(order.what, Partition)
    return order.what


def _nowhere(order: Order, namespace: Namespace | None) -> str:
    if namespace is None:
        return f"no process of pod {order.pod} runs on this node, so nothing was cut. Hint: wait until the member is up"
    return (
        f"pod {order.pod} is in its node's own network, where a cut would hit the whole node. "
        "Hint: no hostNetwork for members"
    )
