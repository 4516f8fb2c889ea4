"""Specs that a careless or a malicious user may send: made from a kind's own schema, partly right and partly wild."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

_WILD_TEXTS = st.sampled_from(
    [
        "",
        " ",
        "null",
        "-1",
        "1e9",
        "0Mi",
        "1Gi ",
        "9" * 30 + "Gi",
        "../../etc/passwd",
        "$(reboot)",
        "'; --",
        "a\nb",
        "ü" * 50,
    ]
)
_WILD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    _WILD_TEXTS,
    st.text(max_size=300),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=10), st.integers(), max_size=3),
)


def specs(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Specs by an OpenAPI schema: each field is left out, right, at its limits, or wild; some do not exist."""
    return st.one_of(_by_schema(schema), _by_schema(schema), _by_schema(schema), _WILD)


def _by_schema(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if kind == "object" and "properties" in schema:
        known = {name: specs(below) for name, below in schema["properties"].items()}
        unknown = st.dictionaries(st.sampled_from(["sudo", "replicaz", "x" * 70]), _WILD, max_size=1)
        fixed = st.fixed_dictionaries({}, optional=known)
        return st.one_of(fixed, fixed, fixed, st.builds(lambda one, more: {**more, **one}, fixed, unknown))
    if kind == "object":
        # Names that exist as often as any: what a wild name hides must be reached too.
        names = st.one_of(
            st.sampled_from(["hz", "timeout", "databases", "maxclients", "work_mem", "fsync", "concurrent_reads"]),
            st.text(max_size=20),
        )
        return st.dictionaries(names, st.one_of(st.sampled_from(["1", "10", "yes", "no"]), _WILD), max_size=3)
    if kind == "integer":
        low, high = schema.get("minimum", -(2**31)), schema.get("maximum", 2**31)
        return st.sampled_from([low, low + 1, high, low - 1, high + 1, (low + min(high, low + 5)) // 2])
    if kind == "boolean":
        return st.booleans()
    return st.one_of(st.sampled_from(["1Gi", "64Mi", "100m"]), _WILD_TEXTS)
