"""Foreign fields of a cluster's object: fields that its manifest does not have, so that no apply removes them.

The API server keeps for each manager the fields that it owns (metadata.managedFields, in the form FieldsV1). Once the
operator has applied its manifest by force, the fields that another manager still owns are additions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

# The fields of an object's content, without its metadata and status.
_CONTENT = ("binaryData", "data", "endpoints", "ports", "rules", "spec", "subjects")

Body = Mapping[str, Any]


def additions(metadata: Body, manager: str) -> list[Body]:
    """Return the fields of an object's content that others than the manager own, each in the form FieldsV1."""
    added: list[Body] = []
    for entry in metadata.get("managedFields") or ():
        fields = entry.get("fieldsV1") or {}
        content = {f"f:{name}": fields[f"f:{name}"] for name in _CONTENT if f"f:{name}" in fields}
        # A subresource is a controller's part: a status, or a scale.
        if entry.get("manager") != manager and not entry.get("subresource") and content:
            added.append(content)
    return added


def removal(body: Body, added: Iterable[Body]) -> dict[str, Any]:
    """Build the JSON merge patch (RFC 7396) that removes additions from an object; {} if it has none of them."""
    stripped = deepcopy(dict(body))
    for fields in added:
        _strip(stripped, fields)
    return _difference(body, stripped)


def _strip(body: dict[str, Any], fields: Body) -> None:
    for key, below in fields.items():
        name = key.removeprefix("f:")
        if key == "." or name not in body:
            continue
        if not below:
            del body[name]
        elif isinstance(body[name], dict):
            _strip(body[name], below)
        elif isinstance(body[name], list):
            body[name] = _stripped_list(body[name], below)


def _stripped_list(items: list[Any], fields: Body) -> list[Any]:
    kept = list(items)
    for key, below in fields.items():
        kind, _, text = key.partition(":")
        if kind == "v":
            kept = [item for item in kept if item != json.loads(text)]
        elif kind == "k":
            chosen = json.loads(text)
            mine = [item for item in kept if isinstance(item, dict) and chosen.items() <= item.items()]
            if "." in below:  # the item itself is an addition
                kept = [item for item in kept if item not in mine]
            else:
                for item in mine:
                    _strip(item, below)
    return kept


def _difference(before: Body, after: Body) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    for name, value in before.items():
        if name not in after:
            patch[name] = None
        elif isinstance(value, Mapping):
            if below := _difference(value, after[name]):
                patch[name] = below
        elif value != after[name]:
            patch[name] = after[name]
    return patch
