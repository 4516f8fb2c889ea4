"""What a killed runner has left in the cluster: its faults end by themselves, the rest is removed here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kubernetes import client

from ..contract.bounds import REASON_CHARACTERS
from ..contract.engines import BY_KIND
from ..contract.names import API_VERSION, FAULT, GROUP, PLURALS, PROBE, RUN, VERSION
from ..contract.objects import Run, RunStatus
from ..contract.phases import FAILED, RUNNING
from ..contract.records import BodyError
from ..kube.context import pinned
from ..ownership import MANAGER, new_id, run_of
from ..run_lease import Leases, RunLease

_TIMEOUT = (5, 10)  # seconds: to connect, to answer
_LEASE_SECONDS = 60.0  # a dead run's lease is recognized after 20 s
_GONE_SECONDS = 90.0
_LOOK_SECONDS = 0.5
_GONE, _CHANGED = 404, 409
_APPLY = "application/apply-patch+yaml"
# Faults first: they end while their clusters still exist and can be healed.
_KINDS = (FAULT, PROBE, *BY_KIND)


def remove(namespace: str, why: str, api: client.ApiClient | None = None) -> list[str]:
    """Remove what finished runs have made in a namespace, and record on their Run objects why they ended.

    Returns a sentence for each thing that was removed, or is left. Nothing is touched while a run is under way there,
    which raises LeaseNotHeld. Raises kubernetes' ApiException, and urllib3's errors.
    """
    api = api or pinned().api
    run_lease = RunLease(Leases(api), namespace, new_id())
    run_lease.acquire(_LEASE_SECONDS)
    try:
        custom: Any = client.CustomObjectsApi(api)
        sentences = _fail_runs(custom, namespace, why)
        for kind in _KINDS:
            sentences += _remove_all(custom, namespace, kind)
        return sentences
    finally:
        run_lease.release()


def _remove_all(custom: Any, namespace: str, kind: str) -> list[str]:
    """Delete the objects of a kind that runs have made, and wait until they are gone."""
    plural = PLURALS[kind]
    mine = _of_runs(custom, namespace, plural)
    for body in mine:
        only = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": body["metadata"]["uid"]}}
        try:
            custom.delete_namespaced_custom_object(
                GROUP, VERSION, namespace, plural, body["metadata"]["name"], body=only, _request_timeout=_TIMEOUT
            )
        except client.ApiException as error:
            if error.status not in (_GONE, _CHANGED):
                raise
    uids = {body["metadata"]["uid"] for body in mine}
    left = _left(lambda: [body for body in _of_runs(custom, namespace, plural) if body["metadata"]["uid"] in uids])
    left_uids = {body["metadata"]["uid"] for body in left}
    gone = [body for body in mine if body["metadata"]["uid"] not in left_uids]
    sentences = [f"{kind} {namespace}/{body['metadata']['name']} was removed" for body in gone]
    return sentences + [f"{kind} {namespace}/{body['metadata']['name']} is still there" for body in left]


def _left(look: Callable[[], list[Any]]) -> list[Any]:
    ends = time.monotonic() + _GONE_SECONDS
    while (left := look()) and time.monotonic() < ends:
        time.sleep(_LOOK_SECONDS)
    return left


def _fail_runs(custom: Any, namespace: str, why: str) -> list[str]:
    """Mark the Run objects that are still under way as failed."""
    sentences = []
    for body in _of_runs(custom, namespace, PLURALS[RUN]):
        name = body["metadata"]["name"]
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
        custom.patch_namespaced_custom_object_status(
            GROUP, VERSION, namespace, PLURALS[RUN], name, patch,
            field_manager=MANAGER, force=True, _content_type=_APPLY, _request_timeout=_TIMEOUT,
        )  # fmt: skip
        sentences.append(f"Run {namespace}/{name} is marked as failed")
    return sentences


def _of_runs(custom: Any, namespace: str, plural: str) -> list[Any]:
    try:
        listed = custom.list_namespaced_custom_object(GROUP, VERSION, namespace, plural, _request_timeout=_TIMEOUT)
    except client.ApiException as error:
        if error.status == _GONE:
            return []
        raise
    return [body for body in listed["items"] if run_of(body)]
