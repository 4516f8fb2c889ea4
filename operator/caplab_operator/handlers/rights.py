"""The operator's rights in a cluster's namespace: a role binding that is deleted with the cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from caplab.contract import meta

from ..api import Api
from ..engines.objects import operator_binding
from ..settings import LAB_NAMESPACE_VARIABLE

_PROPAGATION_SECONDS = 3.0  # until the API server applies a binding at the latest; usually some milliseconds
_LOOK_SECONDS = 0.02


class NoRights(Exception):
    """The API server does not let the operator work in a namespace; the message has the hint."""


def ensure(api: Api, body: Mapping[str, Any]) -> None:
    """Give the operator its rights in the namespace of a cluster. Raises NoRights if they do not take effect."""
    binding = operator_binding(body, os.environ[LAB_NAMESPACE_VARIABLE])
    if api.is_current(binding):
        return
    api.apply(binding)
    namespace, name = meta.namespace_of(binding), meta.name_of(binding)
    end = time.monotonic() + _PROPAGATION_SECONDS
    while not api.may("patch", "apps", "statefulsets", namespace):
        if time.monotonic() > end:
            raise NoRights(
                f"the role binding {namespace}/{name} gives the operator no rights: is the ClusterRole"
                f" {binding['roleRef']['name']} there? Hint: make up."
            )
        time.sleep(_LOOK_SECONDS)
