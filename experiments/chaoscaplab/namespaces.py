"""The namespace that a step of an experiment means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaoslib.exceptions import ActivityFailed

from caplab.ownership import NAMESPACE

from .run_context import current_run


def namespace_of(configuration: Mapping[str, Any] | None, named: str = "") -> str:
    """Return the namespace of the current run; without a run the named one, else the configuration's, else the default.

    Raises ActivityFailed if a step of a run names another one: a run has one namespace, which it holds.
    """
    own = current_run().namespace
    if own and named not in ("", own):
        raise ActivityFailed(f"The run is in the namespace {own}, but this step names {named}. Hint: leave it out.")
    return own or named or configured(configuration)


def configured(configuration: Mapping[str, Any] | None) -> str:
    """Return the namespace of an experiment's configuration, else the default."""
    return str((configuration or {}).get("namespace") or NAMESPACE)
