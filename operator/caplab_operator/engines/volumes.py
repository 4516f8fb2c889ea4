"""Members' volumes: whose they are, and what root key the passwords on them are from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .cluster import Cluster
from .objects import owner_of
from .passwords import ROOT_KEY_ANNOTATION
from .pods import ordinal


def root_of(claim: Mapping[str, Any]) -> str:
    """Which root key the passwords on a volume are from; '' where it does not say."""
    return str((claim.get("annotations") or {}).get(ROOT_KEY_ANNOTATION, ""))


def change(cluster: Cluster, claim: Mapping[str, Any], root: str) -> dict[str, Any] | None:
    """The change of a volume claim's metadata that makes it the cluster's; None where it is as it should be.

    Its StatefulSet owns it too. But an object goes with the last of its owners: so who deletes the StatefulSet, which
    is there again at once, has not deleted the data. A member that is to go takes its volume along: that is its
    StatefulSet's alone. Where volumes are kept, nobody owns them. root is '' where the cluster's passwords are from no
    known key.
    """
    owners = list(claim.get("ownerReferences") or ())
    own = {name: value for name, value in owner_of(cluster).items() if name not in ("controller", "blockOwnerDeletion")}
    wanted = [owner for owner in owners if owner["uid"] != cluster.uid]
    if not cluster.keep_volumes and ordinal(claim["name"]) < cluster.replicas:
        wanted.append(own)
    changed: dict[str, Any] = {}
    if {owner["uid"] for owner in wanted} != {owner["uid"] for owner in owners}:
        changed["ownerReferences"] = wanted
    if root and not root_of(claim):
        changed["annotations"] = {ROOT_KEY_ANNOTATION: root}
    if not changed or "deletionTimestamp" in claim:
        return None
    return {"uid": claim["uid"], "resourceVersion": claim["resourceVersion"], **changed}
