"""The namespace that a step of an experiment means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaoslib.exceptions import ActivityFailed

from caplab.ownership import NAMESPACE
from caplab.run_context import RunContext


def namespace_of(run: RunContext, configuration: Mapping[str, Any] | None, named: str = "") -> str:
    """Return the namespace of a run; if it has none yet the named one, else the configuration's, else the default.

    Raises ActivityFailed if a step of a run names another one: a run has one namespace, which it holds.
    """
    if run.namespace and named not in ("", run.namespace):
        raise ActivityFailed(
            f"The run is in the namespace {run.namespace}, but this step names {named}. Hint: leave it out."
        )
    return run.namespace or named or configured(configuration)


def configured(configuration: Mapping[str, Any] | None) -> str:
    """Return the namespace of an experiment's configuration, else the default."""
    return str((configuration or {}).get("namespace") or NAMESPACE)
