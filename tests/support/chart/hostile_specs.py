"""Specs that a careless or a malicious user may send: made from a kind's schema, partly right and partly wild."""

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

_PARAMETERS = [
    ("hz", "20"),
    ("databases", "4"),
    ("repl-backlog-size", "16mb"),
    ("work_mem", "8MB"),
    ("jit", "off"),
    ("max_connections", "300"),
    ("concurrent_reads", "16"),
    ("compaction_throughput", "24MiB/s"),
    ("trickle_fsync", "true"),
]
_DELICATE = [
    "fsync",
    "synchronous_commit",
    "archive_command",
    "appendfsync",
    "dir",
    "save",
    "commitlog_sync",
    "authorizer",
]
_PARAMETER_NAMES = st.one_of(
    st.sampled_from(_DELICATE),
    st.sampled_from(_DELICATE).map(str.upper),
    st.sampled_from(_DELICATE).map(str.title),
    st.sampled_from(_DELICATE).map(lambda name: f"zz.a = '1'\n{name} = off\nzz.b"),
    st.sampled_from([name for name, _ in _PARAMETERS]).flatmap(
        lambda name: st.sampled_from(
            [name, f"{name}\n", f"{name}\r", f"pg.{name}", f"{name}.", f" {name}", name.upper()]
        )
    ),
    st.sampled_from(["", ".", "x" * 63, "\uff46sync", "fsync\u200b", "__proto__", "{{ .Release.Name }}", "y" * 5000]),
    st.text(max_size=20),
)
_PARAMETER_VALUES = st.sampled_from(
    [
        "1",
        "off",
        "yes",
        "8MB",
        "8MB\nfsync = off",
        "1e400",
        "-0",
        "007",
        "0x10",
        "١٢",
        "9" * 60,
        "x' OR 1=1",
        "[/]",
        "1; id",
    ]
)
# Names that a cluster may not have, and names that are just allowed.
NAMES = st.sampled_from(
    [
        *(f"hostile-{letter}" for letter in "abcdefgh"),
        *(
            "a" * 40,
            "a" * 41,
            "x" * 63,
            "y" * 254,
            "1abc",
            "a.b",
            "A",
            "a-",
            "-a",
            "a_b",
            "a\n",
            "ä",
            "",
            "a b",
            "a/b",
            "..",
        ),
    ]
)


def specs(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Generate specs from an OpenAPI schema: each field is left out, right, extreme or wild; some do not exist."""
    return st.one_of(_by_schema(schema), _by_schema(schema), _by_schema(schema), _WILD)


def _by_schema(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if kind == "object" and "properties" in schema:
        declared = {name: specs(below) for name, below in schema["properties"].items()}
        unknown = st.dictionaries(st.sampled_from(["sudo", "replicaz", "x" * 70]), _WILD, max_size=1)
        fixed = st.fixed_dictionaries({}, optional=declared)
        return st.one_of(fixed, fixed, fixed, st.builds(lambda fields, extra: {**extra, **fields}, fixed, unknown))
    if kind == "object":
        # Valid parameters as often as wild ones: a wild name must not hide the later checks.
        right = st.sampled_from(_PARAMETERS).map(lambda pair: dict([pair]))
        wild = st.dictionaries(_PARAMETER_NAMES, st.one_of(_PARAMETER_VALUES, _WILD), max_size=3)
        return st.one_of(right, st.just({}), wild)
    if kind == "integer":
        low, high = schema.get("minimum", -(2**31)), schema.get("maximum", 2**31)
        return st.sampled_from([low, low + 1, high, low - 1, high + 1, (low + min(high, low + 5)) // 2])
    if kind == "boolean":
        return st.booleans()
    return st.one_of(st.sampled_from(["1Gi", "64Mi", "100m"]), _WILD_TEXTS)
