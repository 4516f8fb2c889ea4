"""Paths of objects at the API server, without discovery: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote


def path_of(api_version: str, kind: str, namespace: str | None = None, name: str | None = None) -> str:
    """Return the path of an object, or of all objects of a kind; without a namespace: of all namespaces."""
    plural = kind.lower()
    if plural.endswith("y"):
        plural = f"{plural[:-1]}ies"
    elif not plural.endswith("s"):
        plural = f"{plural}s"
    group = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    within = f"/namespaces/{_part(namespace)}" if namespace else ""
    return f"{group}{within}/{plural}" + (f"/{_part(name)}" if name else "")


def path_to(body: Mapping[str, Any]) -> str:
    """Return the path of an object that is given with apiVersion, kind and metadata."""
    metadata = body["metadata"]
    return path_of(body["apiVersion"], body["kind"], metadata.get("namespace"), metadata["name"])


def proxy_path(namespace: str, pod: str, port: int, path: str) -> str:
    """Return the path at which the API server passes a request on to a port of a pod."""
    return f"{path_of('v1', 'Pod', namespace, f'{pod}:{port}')}/proxy/{quote(path)}"


def _part(name: str) -> str:
    return quote(name, safe=":")
