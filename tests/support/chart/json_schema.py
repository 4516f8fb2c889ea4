"""The part of JSON Schema (draft 2020-12) that the project's own schemas use; any other keyword is an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_TYPES: Mapping[str, type | tuple[type, ...]] = {"object": dict, "array": list, "string": str}
_SAY_NOTHING = {"$schema", "$defs", "title", "description"}
Schema = Mapping[str, Any]


def problems(value: Any, schema: Schema, root: Schema | None = None, where: str = "$") -> list[str]:
    """Return what is wrong with a value, each with its place; empty if valid. Raises KeyError on an unknown keyword."""
    root = schema if root is None else root
    sentences: list[str] = []
    for keyword in sorted(schema.keys() - _SAY_NOTHING):
        sentences += [f"{where}: {problem}" if not problem.startswith("$") else problem
                      for problem in _RULES[keyword](value, schema, root, where)]  # fmt: skip
    return sentences


def _ref(value: Any, schema: Schema, root: Schema, where: str) -> list[str]:
    target: Any = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return problems(value, target, root, where)


def _type(value: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    if not isinstance(value, _TYPES[schema["type"]]):
        yield f"{value!r} is no {schema['type']}"


def _enum(value: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    if value not in schema["enum"]:
        yield f"{value!r} is none of {schema['enum']}"


def _pattern(value: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    if isinstance(value, str) and not re.search(schema["pattern"], value):
        yield f"{value!r} does not match {schema['pattern']}"


def _required(value: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f"'{name}' is missing" for name in schema["required"] if name not in value)


def _fields(value: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    for name, inner in schema["properties"].items():
        if isinstance(value, dict) and name in value:
            yield from problems(value[name], inner, root, f"{where}.{name}")


def _more(value: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    more = value.keys() - schema.get("properties", {}).keys() if isinstance(value, dict) else ()
    for name in more:
        if schema["additionalProperties"] is False:
            yield f"there is no '{name}'"
        else:
            yield from problems(value[name], schema["additionalProperties"], root, f"{where}.{name}")


def _names(value: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    for name in value if isinstance(value, dict) else ():
        yield from problems(name, schema["propertyNames"], root, f"{where}.{name}")


def _items(value: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    for number, item in enumerate(value if isinstance(value, list) else ()):
        yield from problems(item, schema["items"], root, f"{where}[{number}]")


def _size(
    keyword: str, kind: type[list[Any]] | type[dict[str, Any]], wrong: Callable[[int, int], bool]
) -> Callable[..., Iterator[str]]:
    def rule(value: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
        if isinstance(value, kind) and wrong(len(value), schema[keyword]):
            yield f"{len(value)} entries: {keyword} is {schema[keyword]}"

    return rule


def _one_of(value: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    if sum(not problems(value, variant, root) for variant in schema["oneOf"]) != 1:
        yield f"{value!r} is not exactly one of {schema['oneOf']}"


def _any_of(value: Any, schema: Schema, root: Schema, where: str) -> Iterator[str]:
    if all(problems(value, variant, root) for variant in schema["anyOf"]):
        yield f"none of {schema['anyOf']}"


_RULES: Mapping[str, Callable[[Any, Schema, Schema, str], Any]] = {
    "$ref": _ref,
    "type": _type,
    "enum": _enum,
    "pattern": _pattern,
    "required": _required,
    "properties": _fields,
    "additionalProperties": _more,
    "propertyNames": _names,
    "items": _items,
    "minItems": _size("minItems", list, int.__lt__),
    "minProperties": _size("minProperties", dict, int.__lt__),
    "maxProperties": _size("maxProperties", dict, int.__gt__),
    "oneOf": _one_of,
    "anyOf": _any_of,
}
