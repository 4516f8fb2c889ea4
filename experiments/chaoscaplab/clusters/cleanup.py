"""Cleanup of the clusters that earlier runs made and this one does not need: they would take CPU time and memory."""

from __future__ import annotations

from collections.abc import Collection

from caplab.contract import meta
from caplab.ownership import run_of

from ..server import Server
from .engines import MODULES
from .provision import Cluster


def remove_other_clusters(server: Server, namespace: str, needed: Collection[tuple[str, str]]) -> list[str]:
    """Remove the namespace's clusters that runs made, except those needed (kind and name). Returns the removed names.

    A cluster that no run made stays. Raises NotInTime, and NotOurs if the run does not hold the namespace any more.
    """
    others = [
        Cluster(server=server, engine=engine, namespace=namespace, name=meta.name_of(body), spec=body["spec"])
        for engine in MODULES.values()
        for body in server.list(engine.ENGINE.kind, namespace)
        if (engine.ENGINE.kind, meta.name_of(body)) not in needed and run_of(body)
    ]
    for cluster in others:
        cluster.delete()
    for cluster in others:
        cluster.await_gone()
    return [cluster.name for cluster in others]
