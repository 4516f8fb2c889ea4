"""An API server that keeps objects in memory, behind the operator's own Api: its requests and its changes."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from caplab_operator.api import Api

from caplab.kube.client import Query
from caplab.kube.errors import Conflict, NotFound
from caplab.kube.paths import path_of
from support.objects.kube_clients import AnsweringClient

_PATH = re.compile(r"(?:/api/v1|/apis/[^/]+/[^/]+)(?:/namespaces/([^/]+))?/([^/]+)(?:/([^/]+))?(?:/([^/]+))?$")

Body = dict[str, Any]
Where = tuple[str, str, str]  # namespace, plural, name


class FakeServer(Api):
    """An API server; before is called with method and path before each answer, to change things or to fail."""

    def __init__(self) -> None:
        super().__init__(AnsweringClient(self._answer))
        self.objects: dict[Where, Body] = {}
        self.requests: list[str] = []
        self.before: Callable[[str, str], None] = lambda _method, _path: None
        self.logs: dict[str, bytes] = {}
        self.refusals: Iterator[bool] = itertools.repeat(
            False
        )  # for the rights that the operator asks for, one after the other
        self._numbers = itertools.count(1)

    def put(self, kind: str, name: str, namespace: str = "demo", api_version: str = "v1", **fields: Any) -> Body:
        """Add an object that somebody else made; metadata is among the fields."""
        body = {"apiVersion": api_version, "kind": kind, **deepcopy(fields)}
        body["metadata"] = {**body.get("metadata", {}), "name": name, "namespace": namespace}
        return self._store(_where(path_of(api_version, kind, namespace, name)), body, f"uid-{next(self._numbers)}")

    def may(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Return whether an account is allowed; a refusal holds for this moment only."""
        self.requests.append(f"MAY {verb} {resource} in {namespace}")
        return not next(self.refusals)

    def drop(self, plural: str, name: str, namespace: str = "demo") -> Body:
        """Delete an object, as somebody else would."""
        return self.objects.pop((namespace, plural, name))

    def at(self, plural: str, name: str, namespace: str = "demo") -> Body:
        return self.objects[namespace, plural, name]

    def names(self) -> set[str]:
        """Return plural and name of every object."""
        return {f"{plural}/{name}" for _, plural, name in self.objects}

    def changes(self) -> list[str]:
        """Return the requests that are not reads."""
        return [request for request in self.requests if not request.startswith("GET")]

    def _answer(
        self,
        method: str,
        path: str,
        query: Query,
        body: Mapping[str, Any],
        content: str,
        accept: str,
    ) -> bytes:
        self.requests.append(f"{method} {path}")
        self.before(method, path)
        where = _where(path)
        if path.endswith("/log"):
            return self.logs[where[2]]
        if method == "GET" and not where[2]:
            items = self._listed(where, query)
            return _encoded({"items": items or (None if "Metadata" in accept else [])})
        if method == "POST":
            where = (where[0], where[1], str(body["metadata"]["name"]))
            if where in self.objects:
                raise Conflict("AlreadyExists")
            return _encoded(self._store(where, dict(body), f"uid-{next(self._numbers)}"))
        if method == "PATCH":
            return _encoded(self._patched(where, dict(body), "apply" in content))
        there = self._there(where)
        if method == "DELETE":
            del self.objects[where]
        return _encoded(there)

    def _listed(self, where: Where, query: Query) -> list[Body]:
        terms = [term.split("=") for term in str(query.get("labelSelector", "")).split(",") if "=" in term]
        wanted = {name: value for name, value in terms if not name.endswith("!")}
        unwanted = {(name.removesuffix("!"), value) for name, value in terms if name.endswith("!")}
        return [
            body
            for (namespace, plural, _), body in self.objects.items()
            if plural == where[1]
            and where[0] in ("", namespace)
            and wanted.items() <= (body["metadata"].get("labels") or {}).items()
            and not unwanted & (body["metadata"].get("labels") or {}).items()
        ]

    def _patched(self, where: Where, body: Body, apply: bool) -> Body:
        uid = body["metadata"].get("uid")
        existing = self.objects.get(where) if apply else self._there(where)
        if uid is not None and (existing is None or existing["metadata"]["uid"] != uid):
            raise Conflict("Conflict: uid")
        if existing is None:
            return self._store(where, body, f"uid-{next(self._numbers)}")
        if not apply:
            return self._store(where, _merged(existing, body), existing["metadata"]["uid"])
        metadata = {**existing["metadata"], **body["metadata"]}
        return self._store(where, {**existing, **body, "metadata": metadata}, existing["metadata"]["uid"])

    def _there(self, where: Where) -> Body:
        if where not in self.objects:
            raise NotFound
        return self.objects[where]

    def _store(self, where: Where, body: Body, uid: str) -> Body:
        old = self.objects.get(where)
        metadata = {**body["metadata"], "uid": uid}
        if old is None or {**old, "metadata": {**metadata, "resourceVersion": ""}} != {
            **body, "metadata": {**metadata, "resourceVersion": ""},
        } or old["metadata"].get("labels") != metadata.get("labels"):  # fmt: skip
            metadata["resourceVersion"] = str(next(self._numbers))
        self.objects[where] = deepcopy({**body, "metadata": metadata})
        return self.objects[where]


def _merged(there: Mapping[str, Any], patch: Mapping[str, Any]) -> Body:
    """Merge as a JSON merge patch does."""
    merged = {name: value for name, value in there.items() if patch.get(name, "") is not None}
    for name, value in patch.items():
        if isinstance(value, Mapping):
            merged[name] = _merged(merged.get(name) or {}, value)
        elif value is not None:
            merged[name] = value
    return merged


def _where(path: str) -> Where:
    matched = _PATH.match(path)
    assert matched, path
    namespace, plural, name, _ = matched.groups()
    return namespace or "", plural, name or ""


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body).encode()
