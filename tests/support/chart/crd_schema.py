"""The part of structural CRD schemas that the lab's own use; any other keyword is an error.

Rules in CEL are left to the API server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from caplab_cluster.paths import REPOSITORY

from caplab.contract.names import API_VERSION
from support.chart.templates import read_crd

Schema = Mapping[str, Any]

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
}  # fmt: skip
_OTHERWISE_CHECKED = {"description", "default", "format", "x-kubernetes-validations", "x-kubernetes-list-type",
                      "x-kubernetes-list-map-keys", "additionalProperties"}  # fmt: skip


@cache
def schemas() -> Mapping[str, Schema]:
    """Read the schema of every kind of the chart, by the kind's name."""
    files = (REPOSITORY / "charts" / "caplab" / "templates" / "crds").glob("*.yaml")
    documents = [read_crd(file) for file in files]
    return {
        document["spec"]["names"]["kind"]: document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for document in documents
    }


def problems(manifest: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with an object of the lab, each with its place; empty if its schema accepts it."""
    if manifest.get("apiVersion") != API_VERSION or manifest.get("kind") not in schemas():
        return [f"there is no kind {manifest.get('kind')!r} of {manifest.get('apiVersion')!r}"]
    if not isinstance(manifest.get("metadata", {}).get("name"), str):
        return ["metadata.name is missing"]
    content = {name: value for name, value in manifest.items() if name not in ("apiVersion", "kind", "metadata")}
    return list(_problems(content, schemas()[manifest["kind"]], "object"))


def _problems(value: Any, schema: Schema, where: str) -> Iterator[str]:
    kind = schema.get("type", "object")
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        yield f"{where}: {value!r} is no {kind}"
        return
    for keyword in schema.keys() - _OTHERWISE_CHECKED - {"type"}:
        yield from (
            f"{where}{problem}" if problem.startswith(".") else f"{where}: {problem}"
            for problem in _RULES[keyword](value, schema)
        )
    yield from _inner(value, schema, where)


def _inner(value: Any, schema: Schema, where: str) -> Iterator[str]:
    """Return the problems within an object or a list. A field that no schema names would be dropped silently."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _problems(item, schema["items"], f"{where}[{number}]")
    if isinstance(value, dict):
        fields, more = schema.get("properties", {}), schema.get("additionalProperties")
        for name, inner in value.items():
            if name not in fields and more is None:
                yield f"{where}: there is no field '{name}'"
            else:
                yield from _problems(inner, fields.get(name, more), f"{where}.{name}")


def _nothing(_value: Any, _schema: Schema) -> Iterator[str]:
    yield from ()


def _required(value: Any, schema: Schema) -> Iterator[str]:
    yield from (f"'{name}' is missing" for name in schema["required"] if name not in value)


def _enum(value: Any, schema: Schema) -> Iterator[str]:
    if value not in schema["enum"]:
        yield f"{value!r} is none of {schema['enum']}"


def _pattern(value: Any, schema: Schema) -> Iterator[str]:
    if not re.search(schema["pattern"], value):
        yield f"{value!r} does not match {schema['pattern']}"


def _bound(
    keyword: str, measure: Callable[[Any], float], wrong: Callable[[float, float], bool]
) -> Callable[..., Iterator[str]]:
    def rule(value: Any, schema: Schema) -> Iterator[str]:
        if wrong(measure(value), schema[keyword]):
            yield f"{value!r}: {keyword} is {schema[keyword]}"

    return rule


def _less(value: float, other: float) -> bool:
    return value < other


def _more(value: float, other: float) -> bool:
    return value > other


_RULES: Mapping[str, Callable[[Any, Schema], Iterator[str]]] = {
    "properties": _nothing,
    "items": _nothing,
    "required": _required,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _bound("minimum", float, _less),
    "maximum": _bound("maximum", float, _more),
    "exclusiveMinimum": _nothing,
    "minLength": _bound("minLength", len, _less),
    "maxLength": _bound("maxLength", len, _more),
    "minItems": _bound("minItems", len, _less),
    "maxItems": _bound("maxItems", len, _more),
    "maxProperties": _bound("maxProperties", len, _more),
}
