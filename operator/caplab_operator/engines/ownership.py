"""Ownership of objects: checked before they are applied, since two clusters may want one name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from caplab.contract import meta

Manifest = Mapping[str, Any]
Metadata = Mapping[str, Any]

_NAMED = 6  # how many foreign objects a message names


class ForeignObject(Exception):
    """Objects that a cluster needs are somebody else's, so nothing of it is applied. named lists them."""

    def __init__(self, named: Sequence[str]) -> None:
        self.named = sorted(named)
        more = f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        super().__init__(
            f"{'; '.join(self.named[:_NAMED])}{more}: not owned by this cluster, so none of its objects is applied, and"
            " the foreign ones stay as they are. Hint: remove or rename them, or give the cluster another name."
        )


def controller(metadata: Metadata) -> Mapping[str, Any]:
    """Return the owner that controls an object; {} if it has none."""
    owners: Iterable[Mapping[str, Any]] = metadata.get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), {})


def is_own(manifest: Manifest, existing: Metadata) -> bool:
    """Whether the existing object of the manifest's name has the same controller as the manifest."""
    return bool(controller(existing).get("uid") == controller(manifest["metadata"])["uid"])


def describe_owner(metadata: Metadata) -> str:
    """Describe an object's owner."""
    owner = controller(metadata)
    return f"{owner['kind']} {owner['name']} ({owner['uid']})" if owner else "owned by no cluster"


def foreign(kind: str, metadata: Metadata) -> str:
    """Describe a foreign object and its owner."""
    return f"{kind} {metadata['name']} ({describe_owner(metadata)})"


def stateful_pods(stateful_set: Manifest) -> list[str]:
    """Return the names of the pods that a StatefulSet makes."""
    name, replicas = meta.name_of(stateful_set), stateful_set["spec"]["replicas"]
    return [f"{name}-{ordinal}" for ordinal in range(replicas)]


def foreign_pods(stateful_set: Manifest, pods: Iterable[Metadata]) -> list[str]:
    """Describe pods that have names of a StatefulSet's pods, but were not made by it: they are in its way."""
    names = set(stateful_pods(stateful_set))
    return [foreign("Pod", pod) for pod in pods if pod["name"] in names and not made_by(stateful_set_name(pod), pod)]


def stateful_set_name(pod: Metadata) -> str:
    """Return the name of the StatefulSet whose pod has this name."""
    return str(pod["name"]).rpartition("-")[0]


def made_by(stateful_set: str, pod: Metadata) -> bool:
    """Whether a pod is controlled by the StatefulSet of that name."""
    owner = controller(pod)
    return (owner.get("kind"), owner.get("name")) == ("StatefulSet", stateful_set)


def claims_of(stateful_set: Manifest, claims: Iterable[Metadata]) -> list[Metadata]:
    """Return the volume claims that a StatefulSet uses for its pods, matched by name."""
    pods = stateful_pods(stateful_set)
    templates = stateful_set["spec"].get("volumeClaimTemplates") or ()
    names = {f"{template['metadata']['name']}-{pod}" for template in templates for pod in pods}
    return [claim for claim in claims if claim["name"] in names]


def claims_left_by(stateful_set: Manifest, claims: Iterable[Metadata]) -> list[Metadata]:
    """Return the volume claims of former members, whose ordinals are beyond the StatefulSet's size."""
    labels, in_use = meta.labels_of(stateful_set), {claim["name"] for claim in claims_of(stateful_set, claims)}
    templates = [meta.name_of(template) for template in stateful_set["spec"].get("volumeClaimTemplates") or ()]
    sets = {f"{template}-{stateful_set['metadata']['name']}" for template in templates}
    return [
        claim
        for claim in claims
        if claim["name"] not in in_use
        and stateful_set_name(claim) in sets
        and labels.items() <= (claim.get("labels") or {}).items()
    ]


def foreign_claims(stateful_set: Manifest, claims: Iterable[Metadata]) -> list[str]:
    """Describe the claims of the StatefulSet's names that no cluster of this engine and name made."""
    labels = meta.labels_of(stateful_set)
    return [
        f"PersistentVolumeClaim {claim['name']} (not a volume of this cluster)"
        for claim in claims_of(stateful_set, claims)
        if not labels.items() <= (claim.get("labels") or {}).items()
    ]
