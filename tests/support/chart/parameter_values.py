"""Random values of engines' parameters that the kinds' schemas allow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from caplab_operator.engines.parameters import Parameter, allowed
from hypothesis import strategies as st

_WORDS = {"postgres": ["on", "off", "true", "false"], "redis": ["yes", "no"], "cassandra": ["true", "false"]}
# Cassandra accepts no number without its unit.
_WITH_UNIT = {"cassandra"}


def parameters(engine: str, most: int) -> st.SearchStrategy[dict[str, str]]:
    """Generate what `parameters` of a spec may hold."""
    values = {name: value_of(engine, parameter) for name, parameter in allowed(engine).items()}
    names = st.lists(st.sampled_from(sorted(values)), unique=True, max_size=most)
    return names.flatmap(lambda some: st.fixed_dictionaries({name: values[name] for name in some}))


def value_of(engine: str, parameter: Parameter) -> st.SearchStrategy[str]:
    """Generate values of one parameter."""
    return _KINDS[parameter.kind](engine, parameter)


def _whole(engine: str, parameter: Parameter) -> st.SearchStrategy[str]:
    low, high = -(10**18) + 1, 10**18 - 1
    low = low if parameter.minimum is None else max(low, math.ceil(parameter.minimum))
    high = high if parameter.maximum is None else min(high, math.floor(parameter.maximum))
    # Few digits if there is a unit: at most 15 are accepted.
    if parameter.kind in ("size", "time", "rate"):
        low, high = max(low, -1), min(high, 10**15 - 1)
    unit = parameter.unit if engine in _WITH_UNIT and parameter.kind != "integer" else ""
    return st.integers(low, max(low, high)).map(lambda number: f"{number}{unit}")


def _real(_: str, parameter: Parameter) -> st.SearchStrategy[str]:
    low = 0 if parameter.minimum is None else math.ceil(parameter.minimum)
    high = 1000 if parameter.maximum is None else min(1000, math.floor(parameter.maximum))
    return st.integers(low, high).map(str)


_KINDS: Mapping[str, Callable[[str, Parameter], st.SearchStrategy[str]]] = {
    "bool": lambda engine, _: st.sampled_from(_WORDS[engine]),
    "enum": lambda _, parameter: st.sampled_from(parameter.values),
    "letters": lambda _, parameter: st.text(st.sampled_from(parameter.values), max_size=9),
    "integer": _whole,
    "size": _whole,
    "time": _whole,
    "rate": _whole,
    "real": _real,
}
