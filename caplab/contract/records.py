"""Typed parts of the lab's objects: read from a body, written as a body, and described as a structural schema.

A field has the same name in Python and in the body, but for snake_case and camelCase. None stands for a field that is
missing or null, and is not written.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import field, fields
from functools import cache
from typing import Any, Self, TypeVar, get_args, get_origin, get_type_hints

Rules = Mapping[str, Any]  # keywords of a schema
SET: Rules = {"x-kubernetes-list-type": "set"}  # a list without duplicates
INT64: Rules = {"format": "int64"}

_TYPES: Mapping[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}
_WORDS: Mapping[type, str] = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


_R = TypeVar("_R", bound="Record")


class BodyError(ValueError):
    """A field of an object that is missing or has a wrong type; the message names it."""


def map_by(key: str) -> Rules:
    """Return the rules of a list whose entries are told apart by a field."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


def body_field(*, name: str = "", required: bool = False, filled: Any = None, **rules: Any) -> Any:
    """Declare a field of a record. It may be missing unless it is required.

    name: its name in a body if that is another word; filled: the value that the API server fills in; rules: the other
    keywords of its schema, such as maxLength. Those of a list's items are the keyword items.
    """
    if filled is not None:
        rules["default"] = filled
    metadata = {"name": name, "required": required, "rules": rules}
    return field(metadata=metadata) if required else field(default=filled, metadata=metadata)


class Record:
    """The base of frozen dataclasses whose fields are declared by body_field."""

    __slots__ = ()

    @classmethod
    def from_body(cls, body: object, where: str = "object") -> Self:
        """Read a parsed body; fields of other names are left alone. Raises BodyError, which names the field."""
        if not isinstance(body, Mapping):
            raise BodyError(f"{where}: expected an object with named fields, found {shown(body)}.")
        values = {}
        for attribute, (name, required, of_type, _) in _fields(cls).items():
            value = body.get(name)
            if value is not None:
                values[attribute] = _read(value, of_type, f"{where}.{name}")
            elif required:
                raise BodyError(f"{where}: field '{name}' is missing.")
        return cls(**values)

    def to_body(self) -> dict[str, Any]:
        """Write it as a body, without what is None."""
        values = ((name, getattr(self, attribute)) for attribute, (name, *_) in _fields(type(self)).items())
        return {name: _written(value) for name, value in values if value is not None}


def schema_of(cls: type[Record]) -> dict[str, Any]:
    """Describe a record as a structural schema, without descriptions and rules in CEL."""
    every = _fields(cls)
    schema: dict[str, Any] = {"type": "object"}
    if every:
        schema["properties"] = {name: _schema(of_type, rules) for name, _, of_type, rules in every.values()}
    if required := [name for name, required, *_ in every.values() if required]:
        schema["required"] = required
    return schema


def fields_of(cls: type[Record], base: type[_R]) -> dict[str, type[_R]]:
    """Return the fields of a record that are themselves records of this base: their types, by their names in a body."""
    types_of = {name: of_type for name, _, of_type, _ in _fields(cls).values()}
    return {
        name: of_type for name, of_type in types_of.items() if isinstance(of_type, type) and issubclass(of_type, base)
    }


def _fields(cls: Any) -> Mapping[str, tuple[str, bool, Any, Rules]]:
    """Give the name in a body, whether it is required, the type without None, and the rules, by attribute."""
    return _declared(cls)


@cache
def _declared(cls: type[Any]) -> Mapping[str, tuple[str, bool, Any, Rules]]:
    hints = get_type_hints(cls)
    return {
        each.name: (
            each.metadata["name"] or _camel(each.name),
            each.metadata["required"],
            _without_none(hints[each.name]),
            each.metadata["rules"],
        )
        for each in fields(cls)
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) is types.UnionType:
        (hint,) = (each for each in get_args(hint) if each is not type(None))
    return hint


def _read(value: Any, of_type: Any, where: str) -> Any:
    if get_origin(of_type) is tuple:
        if not isinstance(value, list | tuple):
            raise BodyError(f"{where}: must be a list, found {shown(value)}.")
        item = get_args(of_type)[0]
        return tuple(_read(each, item, f"{where}[{number}]") for number, each in enumerate(value))
    if get_origin(of_type) is not None:  # a map of texts
        if not isinstance(value, Mapping):
            raise BodyError(f"{where}: expected an object with named fields, found {shown(value)}.")
        return {str(key): _read(each, str, f"{where}.{key}") for key, each in value.items()}
    if issubclass(of_type, Record):
        return of_type.from_body(value, where)
    return _plain(value, of_type, where)


def _plain(value: Any, of_type: type, where: str) -> Any:
    is_bool = isinstance(value, bool)
    fits = isinstance(value, (int, float) if of_type is float else of_type) and is_bool == (of_type is bool)
    if not fits:
        raise BodyError(f"{where}: must be {_WORDS[of_type]}, found {shown(value)}.")
    return value


def _written(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_body()
    if isinstance(value, tuple):
        return [_written(each) for each in value]
    return dict(value) if isinstance(value, Mapping) else value


def _schema(of_type: Any, rules: Rules) -> dict[str, Any]:
    items = rules.get("items", {})
    own = {keyword: value for keyword, value in rules.items() if keyword != "items"}
    if get_origin(of_type) is tuple:
        return {"type": "array", "items": _schema(get_args(of_type)[0], items), **own}
    if get_origin(of_type) is not None:
        return {"type": "object", "additionalProperties": _schema(str, items), **own}
    if issubclass(of_type, Record):
        return {**schema_of(of_type), **own}
    return {"type": _TYPES[of_type], **own}


def shown(value: object) -> str:
    """Return a value as messages quote it: its first 57 characters if it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
