"""Which namespace a step of an experiment means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaoslib.exceptions import ActivityFailed

from caplab.ownership import NAMESPACE

from .run_context import current_run


def namespace_of(configuration: Mapping[str, Any] | None, named: str = "") -> str:
    """That of the run under way; without one that which is named, else the configuration's, else where all are.

    ActivityFailed where a step of a run names another one: a run has one namespace, which it holds.
    """
    own = current_run().namespace
    if own and named not in ("", own):
        raise ActivityFailed(f"The run is in the namespace {own}, and this step names {named}. Hint: leave it out.")
    return own or named or configured(configuration)


def configured(configuration: Mapping[str, Any] | None) -> str:
    """The namespace that an experiment's configuration says, else where all experiments are."""
    return str((configuration or {}).get("namespace") or NAMESPACE)
