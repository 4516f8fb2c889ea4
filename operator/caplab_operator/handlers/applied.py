"""Applying a cluster's objects: the owners of all are checked before any is applied; some are enforced each round."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from caplab.contract import meta
from caplab.contract.names import ROOT_KEY_ANNOTATION

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
from ..engines.passwords import Passwords, are_to_be_derived

_REAPPLY_SECONDS = 30.0  # after which an object is applied again: it may have been changed or removed

Manifest = Mapping[str, Any]
Metadata = Mapping[str, Any]
Name = tuple[str, str]  # kind and name
Secrets = Callable[[Callable[[str], str]], Sequence[Manifest]]


def apply_all(
    api: Api, cluster: Cluster, secrets: Secrets, objects: Sequence[Manifest], later: Sequence[Manifest] = ()
) -> None:
    """Apply those of a cluster's objects that are not current, its Secrets first.

    The ledger knows which are current. Its `invalidate_all` makes every object be looked at and applied again. later:
    objects that are applied, or made by members, once the cluster runs; only their ownership is checked here.

    Raises ForeignObject if one of them is somebody else's, before anything is applied, PasswordsLost if the passwords
    can't be derived any more, and EarlierClusterRemains.
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
    if cluster.keep_volumes:  # before the status reports the cluster as applied: then it may be deleted
        _adopt_volumes(api, cluster, [*own, *left], root)
    uids = {name: str(metadata["uid"]) for name, metadata in there.items()}
    for manifest in [*(made if derived else ()), *objects]:
        uids[_name(manifest)] = _ensure(api, _with_owner_uids(manifest, uids))
    if not cluster.keep_volumes:
        _adopt_volumes(api, cluster, [*own, *left], root)


def _ensure(api: Api, manifest: Manifest) -> str:
    """Apply a manifest unless its object is current. Returns the object's uid."""
    applied = api.ledger.metadata(manifest) if api.is_current(manifest) else None
    return str((applied or api.apply(manifest))["uid"])


class EarlierClusterRemains(Exception):
    """Objects of an earlier cluster of this name are about to be deleted."""


def _check_earlier_cluster_is_gone(
    api: Api, objects: Sequence[Manifest], later: Sequence[Manifest], there: Mapping[Name, Metadata]
) -> None:
    """Raise EarlierClusterRemains if members of a deleted cluster of this name, or objects they made, still exist.

    They end a moment later. Under new Services of their name Patroni's Endpoints would stay, and the new members would
    take over the old cluster's state: they would wait for ever for a primary that no longer exists.
    """
    if any(_name(manifest) in there for manifest in objects if manifest["kind"] in ("Service", "StatefulSet")):
        return
    sets = [manifest for manifest in objects if manifest["kind"] == "StatefulSet"]
    members = {pod for stateful_set in sets for pod in stateful_pods(stateful_set)}
    pods = api.metadata_of_all("v1", "Pod", meta.namespace_of(sets[0])) if sets else ()
    left = [f"Pod {pod['name']}" for pod in pods if pod["name"] in members]
    left += [f"{kind} {name}" for kind, name in map(_name, later) if kind == "Endpoints" and (kind, name) in there]
    if left:
        raise EarlierClusterRemains(
            f"{', '.join(left)} of an earlier cluster of this name still exist: waiting until they are gone"
        )


def _adopt_volumes(api: Api, cluster: Cluster, claims: Sequence[Metadata], root: str) -> None:
    for claim in claims:
        if changed := volumes.change(cluster, claim, root):
            api.patch_metadata("PersistentVolumeClaim", cluster.namespace, claim["name"], changed)


def look_at_all(api: Api, manifests: Sequence[Manifest], claims: Sequence[Metadata]) -> dict[Name, Metadata]:
    """Return the metadata of the existing objects. Raises ForeignObject, which names all foreign ones."""
    not_own: list[str] = []
    there: dict[Name, Metadata] = {}
    sets = [manifest for manifest in manifests if manifest["kind"] == "StatefulSet"]
    pods = api.metadata_of_all("v1", "Pod", meta.namespace_of(sets[0])) if sets else ()
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
    """Return an object's metadata; there has the objects that were read before.

    An object that members make has no owner, and its labels show the cluster. Endpoints belong to the Service of their
    name, which copies its own labels to them, so others may have changed those.
    """
    if controller(manifest["metadata"]):
        return api.ledger.metadata(manifest) or api.look(manifest)
    existing = api.metadata(manifest)
    is_of_service = manifest["kind"] == "Endpoints" and ("Service", meta.name_of(manifest)) in there
    labels = meta.labels_of(manifest)
    if existing and not is_of_service and not labels.items() <= (existing.get("labels") or {}).items():
        raise ForeignObject([foreign(manifest["kind"], existing)])
    return existing


def _roots(secrets: Sequence[Manifest], there: Mapping[Name, Metadata]) -> dict[str, str | None]:
    """Return the root key of each Secret by name, as are_to_be_derived takes them."""
    existing = {meta.name_of(secret): there.get(_name(secret)) for secret in secrets}
    return {name: metadata and volumes.root_of(metadata) for name, metadata in existing.items()}  # type: ignore[misc]


def _marked(secret: Manifest, root: str) -> Manifest:
    return {**secret, "metadata": {**secret["metadata"], "annotations": {ROOT_KEY_ANNOTATION: root}}}


def _name(manifest: Manifest) -> Name:
    return manifest["kind"], meta.name_of(manifest)


def _with_owner_uids(manifest: Manifest, uids: Mapping[Name, str]) -> Manifest:
    """Add the uids of owners that are the cluster's own objects, known only once those are applied."""
    metadata = manifest["metadata"]
    owners = [
        owner if "uid" in owner else {**owner, "uid": uids[owner["kind"], owner["name"]]}
        for owner in metadata["ownerReferences"]
    ]
    return {**manifest, "metadata": {**metadata, "ownerReferences": owners}}


class ApplyCache:
    """When objects were last applied from here. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[Name, float] = {}

    def ensure(self, api: Api, manifest: Manifest) -> None:
        """Apply an object if another manifest was applied last, if it has changed, or if it was applied a while ago.

        Another manifest may be an apply's from an older state of the cluster, which ended later.
        """
        key, now = _name(manifest), time.monotonic()
        with self._lock:
            last = self._last.get(key)
            if last is None or now - last > _REAPPLY_SECONDS or not api.is_current(manifest):
                self._last.pop(key, None)  # an apply that fails is done again
                api.apply(manifest)
                self._last[key] = now
