"""Random cluster objects that a kind's own schema allows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

OBJECT_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")  # names that any object of a cluster may have
NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)  # of clusters


def schema_of(crd: Path) -> Mapping[str, Any]:
    """Read the schema of a kind's spec, from the file of its definition."""
    versions = yaml.safe_load(crd.read_text())["spec"]["versions"]
    schema: Mapping[str, Any] = versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def by_schema(schema: Mapping[str, Any], parameters: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Generate what a part of the schema allows, with every default filled in as the API server does.

    parameters: the values of the field of that name, because the schema does not say which the engine takes.
    """
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "properties" in schema:
        below = {name: by_schema(part, parameters) for name, part in schema["properties"].items()}
        return st.fixed_dictionaries(below)
    if schema["type"] == "integer":
        return st.integers(schema["minimum"], schema["maximum"])
    if schema["type"] == "boolean":
        return st.booleans()
    if "additionalProperties" in schema:
        return parameters
    return st.from_regex(schema["pattern"], fullmatch=True).filter(lambda text: len(text) <= schema["maxLength"])


def body_of(kind: str, spec: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Make a cluster object as the API server returns it."""
    metadata = {"name": name, "namespace": "demo", "uid": "u", "generation": 1}
    return {"kind": kind, "metadata": metadata, "spec": spec}
