"""Members' volumes: their owner, and the root key of the passwords on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from caplab.contract.names import ROOT_KEY_ANNOTATION
from caplab.contract.objects import Metadata

from .cluster import Cluster
from .objects import owner_of
from .pods import ordinal


def root_of(claim: Mapping[str, Any]) -> str:
    """Return the fingerprint of the root key of a volume's passwords; '' if it names none."""
    return str((claim.get("annotations") or {}).get(ROOT_KEY_ANNOTATION, ""))


def change(cluster: Cluster, claim: Mapping[str, Any], root: str) -> dict[str, Any] | None:
    """Return the change of metadata that makes a volume claim the cluster's; None if it is as it should be.

    Its StatefulSet owns it too. An object is deleted with the last of its owners: so deleting the StatefulSet, which
    is there again at once, does not delete the data. A member that is removed takes its volume along: that one is
    owned by its StatefulSet alone. Kept volumes have no owner. root is '' if the cluster's passwords are from no
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
    if not changed or Metadata.from_body(claim, "metadata").is_being_deleted:
        return None
    return {"uid": claim["uid"], "resourceVersion": claim["resourceVersion"], **changed}
