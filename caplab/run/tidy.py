"""Removal of the clusters that a suite made itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubernetes import client

from ..contract.names import GROUP, PLURALS, VERSION
from ..kube.context import pinned
from ..ownership import CreatedCluster, Session, session_of
from ..run_lease import LeaseNotHeld, Leases, RunLease

_TIMEOUT = (5, 10)  # seconds: to connect, to answer
_ACQUIRE_SECONDS = 2.0  # for the lease of a namespace in which another run is under way
_GONE, _CHANGED = 404, 409


def remove_made(session: Session, api: client.ApiClient | None = None) -> list[str]:
    """Delete the clusters that a session made; what belongs to them is removed in the background.

    Returns a sentence for each that is left: because another run is under way in its namespace, or has taken it over.
    No request is made if nothing was made. Raises kubernetes' ApiException, and urllib3's errors.
    """
    if not session.made:
        return []
    api = api or pinned().api
    left = []
    for namespace in sorted({made.namespace for made in session.made}):
        of_namespace = [made for made in session.made if made.namespace == namespace]
        left += _remove_in(namespace, of_namespace, session, api)
    return left


def left_by_others(session: Session) -> list[str]:
    """Return a sentence for each cluster that existed before this session, and stays. Pure."""
    return [
        f"{kind} {namespace}/{name} existed before this suite, and stays;"
        f" to remove it: kubectl delete {kind.lower()} -n {namespace} {name}"
        for kind, namespace, name in sorted(session.reused)
    ]


def _remove_in(namespace: str, every: Sequence[CreatedCluster], session: Session, api: client.ApiClient) -> list[str]:
    run_lease = RunLease(Leases(api), namespace, session.id)
    custom: Any = client.CustomObjectsApi(api)
    try:
        run_lease.acquire(_ACQUIRE_SECONDS)
    except LeaseNotHeld as held:
        return [f"{_named(made)} is left: {held}" for made in every]
    try:
        return [sentence for made in every if (sentence := _remove(custom, made, session))]
    finally:
        run_lease.release()


def _remove(custom: Any, made: CreatedCluster, session: Session) -> str:
    """Delete a cluster if it is still the one that was made; return why it is left, or ''."""
    where = (GROUP, VERSION, made.namespace, PLURALS[made.kind], made.name)
    try:
        cluster = custom.get_namespaced_custom_object(*where, _request_timeout=_TIMEOUT)
        if cluster["metadata"]["uid"] != made.uid:
            return f"{_named(made)} is left: it is not the one that this suite made"
        if session_of(cluster) != session.id:
            return f"{_named(made)} is left: another suite has taken it over"
        only = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": made.uid}}
        custom.delete_namespaced_custom_object(*where, body=only, _request_timeout=_TIMEOUT)
    except client.ApiException as error:
        if error.status not in (_GONE, _CHANGED):
            raise
    return ""


def _named(made: CreatedCluster) -> str:
    return f"{made.kind} {made.namespace}/{made.name}"
