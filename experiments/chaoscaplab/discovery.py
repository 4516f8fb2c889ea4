"""Discovery for `chaos discover`: every action and probe with its arguments, their types, and what they mean."""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Union, get_args, get_origin, get_type_hints

from chaoslib.discovery import discover_actions, discover_probes, initialize_discovery_result
from chaoslib.discovery.discover import portable_type_name
from chaoslib.types import DiscoveredActivities, Discovery

ACTIONS = (
    "chaoscaplab.caches.actions",
    "chaoscaplab.clusters.actions",
    "chaoscaplab.faults.actions",
    "chaoscaplab.faults.nodes",
    "chaoscaplab.probes.actions",
)
PROBES = ("chaoscaplab.clusters.probes", "chaoscaplab.faults.probes", "chaoscaplab.probes.probes")


def discover(discover_system: bool = True) -> Discovery:
    """Describe every action and probe. Nothing of the system is discovered: use `caplab faults` and kubectl for it."""
    discovery: Discovery = initialize_discovery_result("chaoscaplab", version("caplab"), "kubernetes")
    for modules, look in ((ACTIONS, discover_actions), (PROBES, discover_probes)):
        for module in modules:
            discovery["activities"].extend(_typed(look(module), module))
    return discovery


def _typed(activities: DiscoveredActivities, module: str) -> DiscoveredActivities:
    """Name the types of activities: Chaos Toolkit takes annotations as written, and cannot name ours."""
    for activity in activities:
        function: Callable[..., Any] = getattr(importlib.import_module(module), activity["name"])
        hints = get_type_hints(function)
        activity["return_type"] = type_name(hints["return"])
        for argument in activity["arguments"]:
            argument["type"] = type_name(hints[argument["name"]])
    return activities


def type_name(hint: Any) -> str:
    """Return Chaos Toolkit's name of a type, such as string or list; of an optional type, the other's name. Pure."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = [argument for argument in get_args(hint) if argument is not types.NoneType]
    plain: Mapping[Any, type] = {Sequence: list, Mapping: dict}
    origin = get_origin(hint) or hint
    return str(portable_type_name(plain.get(origin, origin)))
