"""Values of engines' parameters at random, as the kinds' schemas let them through."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from caplab_operator.engines.parameters import Parameter, allowed
from hypothesis import strategies as st

_WORDS = {"postgres": ["on", "off", "true", "false"], "redis": ["yes", "no"], "cassandra": ["true", "false"]}
# Cassandra takes no number without its unit.
_WITH_UNIT = {"cassandra"}


def parameters(engine: str, most: int) -> st.SearchStrategy[dict[str, str]]:
    """What `parameters` of a spec may hold."""
    known = {name: value_of(engine, one) for name, one in allowed(engine).items()}
    names = st.lists(st.sampled_from(sorted(known)), unique=True, max_size=most)
    return names.flatmap(lambda some: st.fixed_dictionaries({name: known[name] for name in some}))


def value_of(engine: str, one: Parameter) -> st.SearchStrategy[str]:
    """Values of one parameter."""
    return _KINDS[one.kind](engine, one)


def _whole(engine: str, one: Parameter) -> st.SearchStrategy[str]:
    low, high = -(10**18) + 1, 10**18 - 1
    low = low if one.minimum is None else max(low, math.ceil(one.minimum))
    high = high if one.maximum is None else min(high, math.floor(one.maximum))
    # Few digits where there is a unit: 15 are taken.
    if one.kind in ("size", "time", "rate"):
        low, high = max(low, -1), min(high, 10**15 - 1)
    unit = one.unit if engine in _WITH_UNIT and one.kind != "integer" else ""
    return st.integers(low, max(low, high)).map(lambda number: f"{number}{unit}")


def _real(_: str, one: Parameter) -> st.SearchStrategy[str]:
    low = 0 if one.minimum is None else math.ceil(one.minimum)
    high = 1000 if one.maximum is None else min(1000, math.floor(one.maximum))
    return st.integers(low, high).map(str)


_KINDS: Mapping[str, Callable[[str, Parameter], st.SearchStrategy[str]]] = {
    "bool": lambda engine, _: st.sampled_from(_WORDS[engine]),
    "enum": lambda _, one: st.sampled_from(one.values),
    "letters": lambda _, one: st.text(st.sampled_from(one.values), max_size=9),
    "integer": _whole,
    "size": _whole,
    "time": _whole,
    "rate": _whole,
    "real": _real,
}
