"""Readers of what every Kubernetes object has: its metadata, labels and conditions.

Bodies are as the API server sends them. A reader of a field that each existing object has raises KeyError without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Body = Mapping[str, Any]


def name_of(body: Body) -> str:
    """Return an object's name."""
    return str(body["metadata"]["name"])


def namespace_of(body: Body) -> str:
    """Return the namespace of an object that is in one."""
    return str(body["metadata"]["namespace"])


def uid_of(body: Body) -> str:
    """Return an object's uid, which no later object of its name has."""
    return str(body["metadata"]["uid"])


def generation_of(body: Body) -> int:
    """Return the generation of an object's spec."""
    return int(body["metadata"]["generation"])


def labels_of(body: Body) -> Mapping[str, str]:
    """Return an object's labels."""
    return body["metadata"].get("labels") or {}


def annotations_of(body: Body) -> Mapping[str, str]:
    """Return an object's annotations."""
    return body["metadata"].get("annotations") or {}


def is_being_deleted(body: Body) -> bool:
    """Whether an object is being deleted."""
    return "deletionTimestamp" in body["metadata"]


def conditions_of(status: Body) -> Mapping[str, Body]:
    """Return the conditions of a status by their types."""
    return {str(condition.get("type")): condition for condition in status.get("conditions") or ()}
