"""Removal of the clusters that a suite made itself."""

from __future__ import annotations

from collections.abc import Sequence

from ..contract import meta
from ..contract.names import API_VERSION
from ..kube.client import Client
from ..kube.context import pinned
from ..ownership import CreatedCluster, SuiteSession, suite_session_of
from ..run_lease import LeaseNotHeld, Leases, RunLease

_ACQUIRE_SECONDS = 2.0  # for the lease of a namespace in which another run is under way


def remove_made(session: SuiteSession, client: Client | None = None) -> list[str]:
    """Delete the clusters that a session made; what belongs to them is removed in the background.

    Returns a sentence for each that is left: because another run is under way in its namespace, or has taken it over.
    No request is made if nothing was made. Raises ApiError.
    """
    if not session.made:
        return []
    client = client or pinned().client
    left = []
    for namespace in sorted({made.namespace for made in session.made}):
        of_namespace = [made for made in session.made if made.namespace == namespace]
        left += _remove_in(namespace, of_namespace, session, client)
    return left


def left_by_others(session: SuiteSession) -> list[str]:
    """Return a sentence for each cluster that existed before this session, and stays. Pure."""
    return [
        f"{kind} {namespace}/{name} existed before this suite, and stays;"
        f" to remove it: kubectl delete {kind.lower()} -n {namespace} {name}"
        for kind, namespace, name in sorted(session.reused)
    ]


def _remove_in(namespace: str, every: Sequence[CreatedCluster], session: SuiteSession, client: Client) -> list[str]:
    run_lease = RunLease(Leases(client), namespace, session.id)
    try:
        run_lease.acquire(_ACQUIRE_SECONDS)
    except LeaseNotHeld as held:
        return [f"{_named(made)} is left: {held}" for made in every]
    try:
        return [sentence for made in every if (sentence := _remove(client, made, session))]
    finally:
        run_lease.release()


def _remove(client: Client, made: CreatedCluster, session: SuiteSession) -> str:
    """Delete a cluster if it is still the one that was made; return why it is left, or ''."""
    where = (API_VERSION, made.kind, made.namespace, made.name)
    cluster = client.get(*where)
    if cluster is None:
        return ""
    if meta.uid_of(cluster) != made.uid:
        return f"{_named(made)} is left: it is not the one that this suite made"
    if suite_session_of(cluster) != session.id:
        return f"{_named(made)} is left: another suite has taken it over"
    client.delete(*where, uid=made.uid)
    return ""


def _named(made: CreatedCluster) -> str:
    return f"{made.kind} {made.namespace}/{made.name}"
