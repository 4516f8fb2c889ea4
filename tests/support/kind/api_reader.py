"""What the API server has, asked as `kubectl get` asks it, but without a process for each question.

Tests wait for objects by asking again and again; a kubectl each time would take a good part of two cores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from caplab_cluster.kind_cluster import CONTEXT

from caplab.kube.context import connect

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_OPTIONS = {"-n": "namespace", "-l": "labelSelector", "--field-selector": "fieldSelector"}


@dataclass(frozen=True)
class Resource:
    """Where the objects of a kind are: '/api/v1' and 'pods', for instance."""

    root: str
    plural: str
    is_namespaced: bool


class ApiReader:
    """The API server of a kubeconfig, only to read from."""

    def __init__(self, kubeconfig: Path) -> None:
        self._api = connect(CONTEXT, kubeconfig)

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return what `kubectl get ARGUMENTS -o json` prints. Raises ApiError if there is no such object."""
        words, query, everywhere = _parsed(arguments)
        namespace = "" if everywhere else query.pop("namespace", "default")
        named = words if "/" in words[0] else [f"{words[0]}/{name}" for name in words[1:]]
        if len(named) == 1:
            return self._named(namespace, named[0])
        if named:
            items = [self._named(namespace, word) for word in named]
        else:
            resources = [self._resource(kind) for kind in words[0].split(",")]
            items = [item for resource in resources for item in self._items(resource, namespace, query)]
        return {"apiVersion": "v1", "kind": "List", "items": items}

    def _named(self, namespace: str, word: str) -> dict[str, Any]:
        kind, _, name = word.partition("/")
        return _as_shown(self._api.call("GET", _path(self._resource(kind), namespace, name)))

    def _items(self, resource: Resource, namespace: str, query: dict[str, str]) -> list[dict[str, Any]]:
        listed = self._api.call("GET", _path(resource, namespace), query)
        head = {"apiVersion": listed["apiVersion"], "kind": listed["kind"].removesuffix("List")}
        return [_as_shown({**head, **item}) for item in listed["items"]]

    def _resource(self, kind: str) -> Resource:
        if kind.lower() not in self._resources:
            del self._resources  # such as those of a chart that was just installed
        return self._resources[kind.lower()]

    @cached_property
    def _resources(self) -> dict[str, Resource]:
        """All that is served, by plural, singular and short names; the core's before those of groups."""
        resources: dict[str, Resource] = {}
        for root in ("/api", "/apis"):
            for group in self._api.call("GET", root, accept=_DISCOVERY)["items"]:
                version = group["versions"][0]
                path = "/".join(filter(None, (root, group["metadata"].get("name"), version["version"])))
                for served in version["resources"]:
                    names = (served["resource"], served["singularResource"], *served.get("shortNames", ()))
                    found = Resource(path, served["resource"], served["scope"] == "Namespaced")
                    resources |= {name: found for name in names if name not in resources}
        return resources


def _as_shown(item: dict[str, Any]) -> dict[str, Any]:
    """Return an object without what kubectl shows on request only."""
    item["metadata"].pop("managedFields", None)
    return item


def _parsed(arguments: Sequence[str]) -> tuple[list[str], dict[str, str], bool]:
    """Return kubectl's words, its options as the API server calls them, and whether all namespaces are meant."""
    words, query, rest = [], {}, iter(arguments)
    everywhere = "-A" in arguments
    for word in rest:
        if word in _OPTIONS:
            query[_OPTIONS[word]] = next(rest)
        elif word != "-A":
            assert not word.startswith("-"), f"{word} is not among {', '.join(_OPTIONS)} and -A"
            words.append(word)
    return words, query, everywhere


def _path(resource: Resource, namespace: str, name: str = "") -> str:
    where = ["namespaces", namespace] if resource.is_namespaced and namespace else []
    return "/".join([resource.root, *where, resource.plural, *([name] if name else [])])
