"""The versions of the software and the images of the lab that a run used, so that two runs can be told apart."""

from __future__ import annotations

import hashlib
import logging
import platform
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

import caplab
from caplab.contract.names import AGENT, APP_LABEL, OPERATOR, PROBER, SYSTEM_NAMESPACE
from caplab.model.fields import Json

from ..server import Server

_PACKAGES = ("caplab", "chaostoolkit", "chaostoolkit-lib")
_OF_THE_LAB = f"{APP_LABEL} in ({OPERATOR}, {AGENT}, {PROBER})"
_DIGITS = 12  # of a digest: enough to tell two states of the sources apart
_log = logging.getLogger("caplab.run")


def versions_of(engine: str, settings: Mapping[str, Json], server: Server) -> dict[str, str]:
    """Return versions by name: of the engine as it reports itself, of the cluster's nodes, and of what judges.

    caplab's version stays the same between two releases: caplab-sources is a digest of the installed modules.
    """
    of_engine = {engine: str(settings["serverVersion"])} if "serverVersion" in settings else {}
    packages = {name: version(name) for name in _PACKAGES}
    own = {"python": platform.python_version(), "caplab-sources": sources(Path(caplab.__file__).parent)}
    return {**of_engine, **packages, **own, **_best_effort("the nodes' versions", lambda: _of_nodes(server))}


def lab_images(server: Server) -> dict[str, str]:
    """Return the images of operator, agents and probers, by the container's name."""
    return _best_effort("the lab's images", lambda: _of_lab(server))


@cache
def sources(package: Path) -> str:
    """Return a digest of a package's modules, by name and content."""
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(str(file.relative_to(package)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:_DIGITS]


def _of_nodes(server: Server) -> dict[str, str]:
    infos = [node["status"]["nodeInfo"] for node in server.nodes()]
    every = {
        "kubernetes": {info["kubeletVersion"] for info in infos},
        "container-runtime": {info["containerRuntimeVersion"] for info in infos},
        "kernel": {info["kernelVersion"] for info in infos},
    }
    return {name: ", ".join(sorted(values)) for name, values in every.items() if values}


def _of_lab(server: Server) -> dict[str, str]:
    pods = server.pods(SYSTEM_NAMESPACE, _OF_THE_LAB)
    containers = [container for pod in pods for container in pod["spec"]["containers"]]
    every = {
        str(container["name"]): sorted({other["image"] for other in containers if other["name"] == container["name"]})
        for container in containers
    }
    return {name: ", ".join(images) for name, images in sorted(every.items())}


def _best_effort(what: str, read: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Return what the API server says, or nothing if it does not answer: the run's figures count all the same."""
    try:
        return read()
    except Exception as error:
        _log.warning("%s are not known: %s", what, error)
        return {}
