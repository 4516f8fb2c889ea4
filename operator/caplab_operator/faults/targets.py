"""Whom a fault hits: chosen once, from what the engine's own authority says at that moment."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Member:
    """A member's pod; node and zone '' while it is on none.

    primary by the engine's authority, not by labels; None where members of the engine are never one.
    """

    uid: str
    pod: str
    node: str
    zone: str
    primary: bool | None


class NoTarget(Exception):
    """The fault hits nobody; the message says why, and the mend."""


def choose(target: Mapping[str, Any], seed: int, members: Sequence[Member]) -> list[Member]:
    """The members that a Fault's spec.target means; which of several is the seed's choice.

    Raises NoTarget where there are too few of the role, or where every member would be hit: what is left
    must be able to go on.
    """
    role, count, name = target["role"], target["count"], target["name"]
    placed = sorted((member for member in members if member.node), key=lambda member: member.pod)
    if not placed:
        raise NoTarget(f"{target['kind']} {name} has no member. Mend: name a cluster of this namespace.")
    if role != "any" and all(member.primary is None for member in placed):
        raise NoTarget(f"{name} has no {role}: a {target['kind']} has no primary: target role any.")
    fitting = [member for member in placed if role == "any" or member.primary == (role == "primary")]
    if len(fitting) < count:
        raise NoTarget(
            f"{name} has {len(fitting)} of role {role}, and the fault asks for {count}."
            " Mend: wait until the cluster is Ready, or lower target.count."
        )
    if count >= len(placed) > 1:
        raise NoTarget(f"target.count {count} would hit every member of {name}. Mend: lower it.")
    return sorted(random.Random(seed).sample(fitting, count), key=lambda member: member.pod)


def entries(chosen: Sequence[Member]) -> list[dict[str, Any]]:
    """The operator's part of status.targets; agents add what they do to their own."""
    return [{"uid": one.uid, "pod": one.pod, "node": one.node, "zone": one.zone} for one in chosen]
