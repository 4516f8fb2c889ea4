"""The engines that a prober knows. To add one, add a folder here and its line in KINDS.

A client module is loaded with the first load that needs it: an idle prober has no use for three drivers.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from caplab.contract.names import ENGINES

from ..links import Engine

KINDS = ENGINES  # the engine, and so its folder here, by the kind of its clusters


@cache
def engine_named(name: str) -> Engine:
    """Return the engine of a name in KINDS."""
    engine: Engine = import_module(f".{name}.client", __name__).ENGINE
    return engine


def engine_of(kind: str) -> Engine:
    """Return the engine of a kind of cluster. Raises ValueError if the kind has none."""
    if kind not in KINDS:
        raise ValueError(f"target.kind is {kind!r}. Hint: use one of {', '.join(KINDS)}.")
    return engine_named(KINDS[kind])
