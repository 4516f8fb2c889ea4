"""Choosing a fault's targets: pure, from the existing pods and what the engine's own authority says at that moment."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from caplab.contract.names import ZONE_LABEL
from caplab.contract.objects import Target

from .inventory import Pod


@dataclass(frozen=True, slots=True)
class Roles:
    """Members' roles by name, as the engine's own authority reports them; never from labels.

    up: the members that their peers see up; None if the engine keeps no such list.
    """

    primary: str | None = None
    has_primaries: bool = True
    up: frozenset[str] | None = None


class NoTarget(Exception):
    """The fault hits nothing; the message says why, and has the hint."""


def choose(target: Target, seed: int, pods: Sequence[Pod], roles: Roles | None = None) -> list[Pod]:
    """Choose the pods that a target means, sorted by name; pods are those of its cluster, or all if it names none.

    roles: needed if the target names a role. The seed decides among several candidates.
    Raises NoTarget if the target means no pod, or fewer than it asks for.
    """
    if target.name and not any(pod.is_member for pod in pods):
        raise NoTarget(f"{target.kind} {target.name} has no member. Hint: name a cluster of this namespace.")
    if target.members is not None:
        chosen = _by_name(target, pods)
    elif target.role:
        chosen = _by_role(target, seed, _sorted(pod for pod in pods if pod.is_member), roles or Roles())
    else:
        chosen = _by_place(target, pods)
    return _sorted(chosen)


def zones_of(chosen: Sequence[Pod]) -> frozenset[str]:
    """Return the zones that are the targets' side of a group. Raises NoTarget if a target is in no zone."""
    if without := [f"{pod.name} on {pod.node}" for pod in chosen if not pod.zone]:
        raise NoTarget(
            f"{', '.join(without)}: in no zone, and partition.from group cuts off whole zones."
            f" Hint: label the nodes with {ZONE_LABEL}."
        )
    return frozenset(pod.zone for pod in chosen)


def in_zones(zones: frozenset[str], pods: Iterable[Pod]) -> list[Pod]:
    """Return the pods that are in the zones."""
    return _sorted(pod for pod in pods if pod.zone in zones)


def excess(target: Target, chosen: Iterable[Pod], pods: Iterable[Pod]) -> str:
    """Describe the cluster of which a fault would hit too many members, with the hint; '' if it keeps to its bound.

    The bound is the target's maxMembers, else a minority of the members that are on a node, but at least one:
    the rest must be able to go on.
    """
    there = _members(pods)
    for cluster, targeted in sorted(_members(chosen).items()):
        bound = target.max_members or max(1, (there[cluster] - 1) // 2)
        if targeted > bound:
            return (
                f"{targeted} of {there[cluster]} members of {cluster[1]} would be hit, and the bound is {bound}."
                " Hint: raise target.maxMembers if that is intended, or hit fewer."
            )
    return ""


def _members(pods: Iterable[Pod]) -> Counter[tuple[str, str]]:
    """Count each cluster's members among the pods."""
    return Counter((pod.engine, pod.cluster) for pod in pods if pod.is_member)


def _sorted(pods: Iterable[Pod]) -> list[Pod]:
    return sorted(pods, key=lambda pod: pod.name)


def _by_role(target: Target, seed: int, members: Sequence[Pod], roles: Roles) -> list[Pod]:
    role, count, name = target.role or "any", target.count or 1, target.name
    if role != "any" and not roles.has_primaries:
        raise NoTarget(f"{name} has no {role}: a {target.kind} has no primary. Hint: set target.role to any.")
    if role == "any" and roles.up is not None and not roles.up:
        raise NoTarget(
            f"no member of {name} reports which members are up. Hint: wait until the cluster is Ready,"
            " or name members (target.members)."
        )
    fitting = [pod for pod in members if _fits(pod, role, roles)]
    if len(fitting) < count:
        raise NoTarget(
            f"{name} has {len(fitting)} members of role {role}, and the fault asks for {count}."
            " Hint: wait until the cluster is Ready, or lower target.count."
        )
    return random.Random(seed).sample(fitting, count)


def _fits(pod: Pod, role: str, roles: Roles) -> bool:
    if role == "any":
        return roles.up is None or pod.name in roles.up
    return (pod.name == roles.primary) == (role == "primary")


def _by_name(target: Target, pods: Sequence[Pod]) -> list[Pod]:
    members = {pod.name: pod for pod in pods if pod.is_member}
    if strangers := [name for name in target.members or () if name not in members]:
        raise NoTarget(
            f"{', '.join(strangers)}: {target.name} has no such member on a node."
            f" Its members are {', '.join(sorted(members))}. Hint: name some of them in target.members."
        )
    return [members[name] for name in target.members or ()]


def _by_place(target: Target, pods: Sequence[Pod]) -> list[Pod]:
    """Return the members and Sentinels in a zone, or on a node."""
    kind, place = ("zone", target.zone) if target.zone else ("node", target.node)
    if chosen := [pod for pod in pods if is_in_place(target, pod)]:
        return chosen
    there = sorted({pod.zone if kind == "zone" else pod.node for pod in pods} - {""})
    if not there:
        place = "in a zone" if kind == "zone" else "on a node"
        raise NoTarget(f"no cluster of this namespace has a pod {place}. Hint: create the cluster first.")
    whose = target.name or "any cluster of this namespace"
    raise NoTarget(
        f"{kind} {place} has no member or Sentinel of {whose}. Hint: set target.{kind} to one that has:"
        f" {', '.join(there)}."
    )


def is_in_place(target: Target, pod: Pod) -> bool:
    """Whether a pod is in the zone or on the node that a target names; any pod where it names neither."""
    return target.zone in (None, pod.zone) and target.node in (None, pod.node)
