"""What a killed runner has left in the cluster: its faults end by themselves, the rest is removed here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..contract import meta
from ..contract.bounds import REASON_CHARACTERS
from ..contract.engines import BY_KIND
from ..contract.names import API_VERSION, FAULT, PROBE, RUN
from ..contract.phases import FAILED, RUNNING
from ..contract.records import BodyError
from ..contract.runs import Run, RunStatus
from ..kube.client import Client
from ..kube.context import pinned
from ..kube.errors import NotFound
from ..ownership import MANAGER, new_id, run_of
from ..run_lease import Leases, RunLease

_LEASE_SECONDS = 60.0  # a dead run's lease is recognized after 20 s
_GONE_SECONDS = 90.0
_LOOK_SECONDS = 0.5
# Faults first: they end while their clusters still exist and can be healed.
_KINDS = (FAULT, PROBE, *BY_KIND)


def remove(namespace: str, why: str, client: Client | None = None) -> list[str]:
    """Remove what finished runs have made in a namespace, and record on their Run objects why they ended.

    Returns a sentence for each thing that was removed, or is left. Nothing is touched while a run is under way there,
    which raises LeaseNotHeld. Raises ApiError.
    """
    client = client or pinned().client
    run_lease = RunLease(Leases(client), namespace, new_id())
    run_lease.acquire(_LEASE_SECONDS)
    try:
        sentences = _fail_runs(client, namespace, why)
        for kind in _KINDS:
            sentences += _remove_all(client, namespace, kind)
        return sentences
    finally:
        run_lease.release()


def _remove_all(client: Client, namespace: str, kind: str) -> list[str]:
    """Delete the objects of a kind that runs have made, and wait until they are gone."""
    mine = _of_runs(client, namespace, kind)
    for body in mine:
        client.delete(API_VERSION, kind, namespace, meta.name_of(body), uid=meta.uid_of(body))
    uids = {meta.uid_of(body) for body in mine}
    left = _left(lambda: [body for body in _of_runs(client, namespace, kind) if meta.uid_of(body) in uids])
    left_uids = {meta.uid_of(body) for body in left}
    gone = [body for body in mine if meta.uid_of(body) not in left_uids]
    sentences = [f"{kind} {namespace}/{body['metadata']['name']} was removed" for body in gone]
    return sentences + [f"{kind} {namespace}/{body['metadata']['name']} is still there" for body in left]


def _left(look: Callable[[], list[Any]]) -> list[Any]:
    ends = time.monotonic() + _GONE_SECONDS
    while (left := look()) and time.monotonic() < ends:
        time.sleep(_LOOK_SECONDS)
    return left


def _fail_runs(client: Client, namespace: str, why: str) -> list[str]:
    """Mark the Run objects that are still under way as failed."""
    sentences = []
    for body in _of_runs(client, namespace, RUN):
        name = meta.name_of(body)
        try:
            status = Run.from_body(body).status or RunStatus()
        except BodyError as error:
            sentences.append(f"Run {namespace}/{name} is left as it is: {error}")
            continue
        if status.phase != RUNNING:
            continue
        ended = RunStatus(
            phase=FAILED, started_at=status.started_at, verdict="unknown", reasons=(why[:REASON_CHARACTERS],)
        )
        patch = {
            "apiVersion": API_VERSION,
            "kind": RUN,
            "metadata": {"namespace": namespace, "name": name},
            "status": ended.to_body(),
        }
        client.apply_status(patch, MANAGER)
        sentences.append(f"Run {namespace}/{name} is marked as failed")
    return sentences


def _of_runs(client: Client, namespace: str, kind: str) -> list[Any]:
    try:
        return [body for body in client.list_all(API_VERSION, kind, namespace) if run_of(body)]
    except NotFound:
        return []
