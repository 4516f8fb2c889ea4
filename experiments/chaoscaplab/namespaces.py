"""Which namespace a step of an experiment means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from caplab.tidy import NAMESPACE


def namespace_of(configuration: Mapping[str, Any] | None, named: str = "") -> str:
    """The one that is named, else that of the experiment's configuration, else where all experiments are."""
    return named or str((configuration or {}).get("namespace") or NAMESPACE)
