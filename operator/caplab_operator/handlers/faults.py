"""Fault: resolved once, followed until it has ended."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..api import Api, stamp
from ..faults import moves, targets

# Whom a cluster consists of, by its kind.
Members = Mapping[str, Callable[[Api, str, str], Sequence[targets.Member]]]

_log = logging.getLogger(__name__)


def follow(api: Api, members: Members, body: Mapping[str, Any]) -> None:
    """Make the next move for a Fault, if there is one; what it changes comes back as an event."""
    lost = [node for node in moves.unanswered(body) if not api.node_exists(node)]
    move = moves.decide(body, lost)
    match move:
        case moves.Resolve():
            _resolve(api, members, body)
        case moves.Say(status):
            api.apply_status(body, status)
        case moves.Release():
            api.apply(_identity(body))


def _resolve(api: Api, members: Members, body: Mapping[str, Any]) -> None:
    metadata, spec = body["metadata"], body["spec"]
    target = spec["target"]
    now = api.get(body["apiVersion"], body["kind"], metadata["namespace"], metadata["name"]) or {}
    if (now.get("status") or {}).get("phase"):
        return  # already done: what was last heard is older than what was written
    try:
        there = members[target["kind"]](api, metadata["namespace"], target["name"])
        chosen = targets.choose(target, spec["seed"], there)
    except targets.NoTarget as nobody:
        api.apply_status(body, moves.refused(str(nobody)))
        return
    # First the finalizer, then the orders: an object that can go at once might leave a member under its fault.
    api.apply(_identity(body, finalizers=[moves.FINALIZER]))
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=spec["durationSeconds"])
    api.apply_status(body, moves.resolved(targets.entries(chosen), stamp(until)))
    _log.info("fault %s/%s hits %s", metadata["namespace"], metadata["name"], [one.pod for one in chosen])


def _identity(body: Mapping[str, Any], **metadata: Any) -> dict[str, Any]:
    """Just this object and no later one of its name: an apply with a uid never makes one."""
    own = {name: body["metadata"][name] for name in ("name", "namespace", "uid")}
    return {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": {**own, **metadata}}
