"""A cluster's objects: all are looked at before any is applied, and some are kept as they should be all the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..api import Api
from ..engines import volumes
from ..engines.cluster import Cluster
from ..engines.ownership import (
    ForeignObject,
    claims_left_by,
    claims_of,
    controller,
    foreign,
    foreign_claims,
    foreign_pods,
    stateful_pods,
)
from ..engines.passwords import ROOT_KEY_ANNOTATION, Passwords, are_to_be_derived

_AGAIN_SECONDS = 30.0  # somebody else may have changed or removed it

Manifest = Mapping[str, Any]
Metadata = Mapping[str, Any]
Name = tuple[str, str]  # kind and name
Secrets = Callable[[Callable[[str], str]], Sequence[Manifest]]


def apply_all(
    api: Api, cluster: Cluster, secrets: Secrets, objects: Sequence[Manifest], later: Sequence[Manifest] = ()
) -> None:
    """Make all of a cluster's objects what their manifests say: its secrets, then the objects in their order.

    later are those that are applied, or made by members, once it runs: only whose they are is asked here.
    Raises ForeignObject where one of them is somebody else's, before anything is applied, and PasswordsLost where
    nobody can know the passwords any more.
    """
    passwords = Passwords(cluster, api.root_key.value())
    made = [_marked(secret, passwords.root) for secret in secrets(passwords)]
    claims = api.metadata_of_all("v1", "PersistentVolumeClaim", cluster.namespace)
    there = look_at_all(api, [*made, *objects, *later], claims)
    _check_earlier_cluster_is_gone(api, objects, later, there)
    sets = [stateful_set for stateful_set in objects if stateful_set["kind"] == "StatefulSet"]
    own = [claim for stateful_set in sets for claim in claims_of(stateful_set, claims)]
    left = [claim for stateful_set in sets for claim in claims_left_by(stateful_set, claims)]
    derived = are_to_be_derived(passwords.root, _roots(made, there), frozenset(map(volumes.root_of, own)) - {""})
    root = passwords.root if derived else ""
    if cluster.keep_volumes:  # before anything tells that the cluster is as it is asked for, and may be deleted
        _adopt_volumes(api, cluster, [*own, *left], root)
    uids = {name: str(metadata["uid"]) for name, metadata in there.items()}
    for manifest in [*(made if derived else ()), *objects]:
        uids[_name(manifest)] = str(api.apply(_with_owner_uids(manifest, uids))["uid"])
    if not cluster.keep_volumes:
        _adopt_volumes(api, cluster, [*own, *left], root)


class EarlierClusterRemains(Exception):
    """What an earlier cluster of the name has left is about to go."""


def _check_earlier_cluster_is_gone(
    api: Api, objects: Sequence[Manifest], later: Sequence[Manifest], there: Mapping[Name, Metadata]
) -> None:
    """Raises StillThere for members of an earlier cluster of this name, whose objects have gone, and what they made.

    They end a moment later. Under new Services of their name Patroni's Endpoints would stay, and the new members would
    take the old cluster's state for theirs: they would wait for ever for a primary that is no more.
    """
    if any(_name(manifest) in there for manifest in objects if manifest["kind"] in ("Service", "StatefulSet")):
        return
    sets = [manifest for manifest in objects if manifest["kind"] == "StatefulSet"]
    members = {pod for stateful_set in sets for pod in stateful_pods(stateful_set)}
    pods = api.metadata_of_all("v1", "Pod", sets[0]["metadata"]["namespace"]) if sets else ()
    left = [f"Pod {pod['name']}" for pod in pods if pod["name"] in members]
    left += [f"{kind} {name}" for kind, name in map(_name, later) if kind == "Endpoints" and (kind, name) in there]
    if left:
        raise EarlierClusterRemains(
            f"{', '.join(left)} of an earlier cluster of this name are still there: waiting until they go"
        )


def _adopt_volumes(api: Api, cluster: Cluster, claims: Sequence[Metadata], root: str) -> None:
    for claim in claims:
        if changed := volumes.change(cluster, claim, root):
            api.patch_metadata("PersistentVolumeClaim", cluster.namespace, claim["name"], changed)


def look_at_all(api: Api, manifests: Sequence[Manifest], claims: Sequence[Metadata]) -> dict[Name, Metadata]:
    """The metadata of those that are there. Raises ForeignObject, which names all that are somebody else's."""
    not_own: list[str] = []
    there: dict[Name, Metadata] = {}
    sets = [manifest for manifest in manifests if manifest["kind"] == "StatefulSet"]
    pods = api.metadata_of_all("v1", "Pod", sets[0]["metadata"]["namespace"]) if sets else ()
    for stateful_set in sets:
        not_own += [*foreign_claims(stateful_set, claims), *foreign_pods(stateful_set, pods)]
    for manifest in manifests:
        try:
            if metadata := _look(api, manifest, there):
                there[_name(manifest)] = metadata
        except ForeignObject as error:
            not_own += error.named
    if not_own:
        raise ForeignObject(not_own)
    return there


def _look(api: Api, manifest: Manifest, there: Mapping[Name, Metadata]) -> Metadata | None:
    """An object's metadata; there are those that were looked at before.

    One that members make has no owner. Its labels say whose it is; but Endpoints are those of the Service of their
    name, which has its own labels written on them, whatever somebody makes of these.
    """
    if controller(manifest["metadata"]):
        return api.look(manifest)
    existing = api.metadata(manifest)
    is_of_service = manifest["kind"] == "Endpoints" and ("Service", manifest["metadata"]["name"]) in there
    labels = manifest["metadata"]["labels"]
    if existing and not is_of_service and not labels.items() <= (existing.get("labels") or {}).items():
        raise ForeignObject([foreign(manifest["kind"], existing)])
    return existing


def _roots(secrets: Sequence[Manifest], there: Mapping[Name, Metadata]) -> dict[str, str | None]:
    """Which root key each Secret that is there is from, as are_to_be_derived has it."""
    existing = {secret["metadata"]["name"]: there.get(_name(secret)) for secret in secrets}
    return {name: metadata and volumes.root_of(metadata) for name, metadata in existing.items()}  # type: ignore[misc]


def _marked(secret: Manifest, root: str) -> Manifest:
    return {**secret, "metadata": {**secret["metadata"], "annotations": {ROOT_KEY_ANNOTATION: root}}}


def _name(manifest: Manifest) -> Name:
    return manifest["kind"], manifest["metadata"]["name"]


def _with_owner_uids(manifest: Manifest, uids: Mapping[Name, str]) -> Manifest:
    """With the uids of owners that are the cluster's own objects, known only once those are applied."""
    metadata = manifest["metadata"]
    owners = [
        owner if "uid" in owner else {**owner, "uid": uids[owner["kind"], owner["name"]]}
        for owner in metadata["ownerReferences"]
    ]
    return {**manifest, "metadata": {**metadata, "ownerReferences": owners}}


class ApplyCache:
    """Objects as they were last applied; one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[Name, tuple[Manifest, float]] = {}

    def ensure(self, api: Api, manifest: Manifest) -> None:
        """Apply it if it differs from the last time, if somebody changed it, or if that is a while ago."""
        key, now = _name(manifest), time.monotonic()
        with self._lock:
            last = self._last.get(key)
            fresh = last is not None and last[0] == manifest and now - last[1] <= _AGAIN_SECONDS
            if not fresh or not api.stands(manifest):
                self._last.pop(key, None)  # what fails half-way is done again
                api.apply(manifest)
                self._last[key] = (manifest, now)
