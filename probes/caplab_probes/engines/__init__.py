"""The engines that a prober knows: a folder here for each of the contract's table, whose module client has a FACTORY.

A client module is loaded with the first load that needs it: an idle prober has no use for three drivers.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec

from caplab.contract.engines import BY_KIND, ENGINES, complete

from ..links import ClientFactory

_MODULES = complete(
    __name__,
    {engine: f".{engine.name}.client" for engine in ENGINES if find_spec(f".{engine.name}", __name__)},
)


@cache
def factory_for(kind: str) -> ClientFactory:
    """Return what makes the clients of a kind of cluster. Raises ValueError if there is no such kind."""
    if kind not in BY_KIND:
        raise ValueError(f"target.kind is {kind!r}. Hint: use one of {', '.join(BY_KIND)}.")
    factory: ClientFactory = import_module(_MODULES[BY_KIND[kind]], __name__).FACTORY
    return factory
