"""Reading the inventory for faults, all parts at once: resolving a fault waits for nothing else."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from ...api import Api
from ...faults.inventory import CONTROL_PLANE, DNS, OUTSIDERS, Inventory
from ...settings import LAB_NAMESPACE_VARIABLE
from .pods import OF_CLUSTERS, OF_THE_LAB, inventory_from

# The Services that partitions cut off by address, with their Endpoints.
_SERVICES = {CONTROL_PLANE: ("default", "kubernetes"), DNS: ("kube-system", "kube-dns")}
_FRESH_SECONDS = 2.0  # for which their addresses are reused: they hardly ever change

Bodies = Sequence[dict[str, Any]]
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading:
    """A read that is under way."""

    api: Api
    listed: Future[Bodies]
    lab: Future[Bodies] | None
    services: Mapping[str, Sequence[Future[frozenset[str]]]]

    def bodies(self) -> Bodies:
        """Wait for the pods of the namespace's clusters, perhaps with others of it, and return them."""
        return self.listed.result()

    def inventory(self) -> Inventory:
        """Wait for all that is read, and return it as the inventory."""
        return inventory_from(
            self.api.zone_of,
            self.listed.result(),
            self.lab.result() if self.lab else (),
            self._addresses(CONTROL_PLANE),
            self._addresses(DNS),
        )

    def _addresses(self, need: str) -> frozenset[str]:
        return frozenset(address for addresses in self.services.get(need, ()) for address in addresses.result())


@dataclass
class Reader:
    """Starts reads; clock returns monotonic seconds."""

    api: Api
    clock: Callable[[], float] = time.monotonic
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(16, thread_name_prefix="read"))
    _reads: dict[str, tuple[float, list[Future[frozenset[str]]]]] = field(default_factory=dict)  # by the need

    def begin(self, namespace: str, needs: frozenset[str]) -> Reading:
        """Start reading a namespace's inventory; pods of no cluster are read only if outsiders are needed."""
        with_outsiders = OUTSIDERS in needs
        listed = self.submit(self.api.pods_where, namespace, "" if with_outsiders else OF_CLUSTERS)
        home = os.environ[LAB_NAMESPACE_VARIABLE]
        lab = self.submit(self.api.pods_where, home, OF_THE_LAB) if with_outsiders else None
        return Reading(self.api, listed, lab, {need: self._addresses(need) for need in _SERVICES if need in needs})

    def submit(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Read in a thread. A read that waits for another one must be submitted after that one."""
        return self._threads.submit(read, *args, **kwargs)

    def _addresses(self, need: str) -> list[Future[frozenset[str]]]:
        at, reads = self._reads.get(need, (-math.inf, []))
        failed = any(read.done() and read.exception() for read in reads)
        if failed or self.clock() - at > _FRESH_SECONDS:
            reads = [self.submit(ask, self.api, *_SERVICES[need]) for ask in (_own_addresses, _led_to)]
            self._reads[need] = self.clock(), reads
        return reads


def _own_addresses(api: Api, namespace: str, name: str) -> frozenset[str]:
    """Read a Service's own addresses; none if there is no such Service."""
    service = (api.get("v1", "Service", namespace, name) or {}).get("spec") or {}
    return frozenset(service.get("clusterIPs") or ()) - {"None", ""}


def _led_to(api: Api, namespace: str, name: str) -> frozenset[str]:
    """Read the addresses of a Service's Endpoints."""
    subsets = (api.get("v1", "Endpoints", namespace, name) or {}).get("subsets") or ()
    return frozenset(address["ip"] for subset in subsets for address in subset.get("addresses") or ())
