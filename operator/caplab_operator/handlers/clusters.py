"""Work around the engines' own handlers that is the same for all engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from caplab.contract import meta
from caplab.kube.errors import Refused, reason_of

from ..api import Api, now
from ..engines.common import CAN_START, CommonConditions, complete, in_conflict, unobserved
from ..engines.conditions import ConditionState, never_ready
from ..engines.ownership import ForeignObject
from ..engines.passwords import PasswordsLost
from ..root_key import UnusableRootKey
from . import rights
from .engines import Handlers

Body = Mapping[str, Any]


def apply(api: Api, handlers: Handlers, body: Body) -> CommonConditions:
    """Apply a cluster's objects as its spec asks for. Returns what kept them from being applied."""
    try:
        rights.ensure(api, body)
        handlers.reconcile(api, body)
    except Exception as error:  # one cluster's error must not affect others: it is reported, and retried
        return obstacle(error)
    return CommonConditions()


def obstacle(error: Exception) -> CommonConditions:
    """Return the conditions for an error that kept a cluster from being applied."""
    match error:
        case ForeignObject():
            return CommonConditions(conflict=("True", "ForeignObject", str(error)))
        case PasswordsLost() | UnusableRootKey():
            return CommonConditions(startable=("False", "PasswordsLost", str(error)))
        case Refused(may_pass=False):
            return CommonConditions(
                startable=("False", "Refused", f"the API server refused an object: {reason_of(error)}")
            )
    return CommonConditions(startable=("Unknown", "NotApplied", f"not applied yet: {reason_of(error)}"))


def look(
    api: Api,
    handlers: Handlers,
    body: Body,
    before: Body,
    active_faults: Mapping[str, str],
    applied: CommonConditions = CommonConditions(),  # noqa: B008 - frozen
    why: Callable[[], ConditionState] = lambda: CAN_START,
) -> Body:
    """Observe a cluster, and write its status if it changed. Returns the status; before is the one last written.

    applied is what kept it from being applied; why, called while it is not Ready, returns what keeps it from starting.
    """
    common, generation = applied, meta.generation_of(body)
    if common.is_conflict and never_ready(before):
        status: Body = in_conflict(before, generation, now())  # none of its objects exist
    else:
        try:
            status = handlers.run_round(api, body, before, active_faults)
        except ForeignObject as error:
            common, status = obstacle(error), in_conflict(before, generation, now())
    if status.get("phase") != "Ready" and common == CommonConditions():
        common = CommonConditions(startable=why())
    return _write(api, body, before, complete(status, common, generation, before, now()))


def report_unobserved(api: Api, body: Body, before: Body, error: Exception) -> Body:
    """Write to a cluster's status that it could not be observed: what it says so far may be outdated."""
    return _write(api, body, before, unobserved(before, reason_of(error), meta.generation_of(body), now()))


def _write(api: Api, body: Body, before: Body, status: Body) -> Body:
    if status != before:
        api.apply_status(body, status)
    return status
