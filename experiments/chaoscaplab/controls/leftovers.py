"""Removal of what killed runs left in a namespace, before the next run begins; what others made stays."""

from __future__ import annotations

from functools import partial

from caplab.contract import meta
from caplab.contract.names import FAULT, PROBE
from caplab.contract.objects import Probe
from caplab.faults.rows import is_live, read_fault
from caplab.kube.client import Body
from caplab.ownership import run_of

from ..faults import nodes
from ..server import NotOurs, Server, full_name
from ..waiting import NotInTime, wait_until

_KINDS = (FAULT, PROBE)
_GONE_SECONDS = 60.0


def refuse_foreign_activity(server: Server, namespace: str) -> None:
    """Raise NotOurs if a fault or a load that no run made is under way: the run would measure it too.

    One that is over does no harm, and stays.
    """
    for kind in _KINDS:
        for body in server.list(kind, namespace):
            if not run_of(body) and is_under_way(kind, body):
                raise NotOurs(
                    f"{kind} {full_name(body)} was made by no run, and is under way. Hint: remove it"
                    f" (kubectl delete {kind.lower()} -n {namespace} {body['metadata']['name']}),"
                    " or give the run a namespace of its own: --set namespace=NAME."
                )


def remove_leftovers(server: Server, namespace: str) -> None:
    """Remove the faults and loads of runs that are over, and bring back the nodes that they took away.

    They would be taken for this run's. Raises NotInTime if something stays, or another run keeps a node away.
    """
    if still_away := nodes.restore_nodes_of_ended_runs(server.run):
        raise NotInTime("; ".join(still_away))
    for kind in _KINDS:
        for body in _of_runs(server, kind, namespace):
            server.remove(kind, body)
        wait_until(f"no {kind} of another run is left", partial(_left, server, kind, namespace), _GONE_SECONDS)


def is_under_way(kind: str, body: Body) -> bool:
    """Return whether a Fault may still hold something, or a Probe still put load on something: pure."""
    if kind == FAULT:
        return is_live(read_fault(body))
    return not Probe.from_body(body, f"Probe {full_name(body)}").has_ended


def _of_runs(server: Server, kind: str, namespace: str) -> list[Body]:
    return [body for body in server.list(kind, namespace) if run_of(body)]


def _left(server: Server, kind: str, namespace: str) -> str:
    return ", ".join(meta.name_of(body) for body in _of_runs(server, kind, namespace))
