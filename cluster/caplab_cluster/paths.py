"""Paths: the checkout is only read; everything made is kept in the cache."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
KIND_CONFIG = REPOSITORY / "kind-config.yaml"
GO_MODULE = REPOSITORY / "cluster" / "gomodule"
NODE_SOURCES = REPOSITORY / "cluster" / "node"
REGISTRY_SOURCES = REPOSITORY / "cluster" / "registry"
LAB_IMAGES = REPOSITORY / "images"
CHART = REPOSITORY / "charts" / "caplab"
DASHBOARDS = REPOSITORY / "dashboards"


@dataclass(frozen=True, slots=True)
class Cache:
    """The cache folder, and where things are in it."""

    root: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Cache:
        """Return CAPLAB_CACHE, else caplab under XDG_CACHE_HOME, else ~/.cache/caplab."""
        if named := environment.get("CAPLAB_CACHE"):
            return cls(Path(named).absolute())
        base = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return cls(Path(base).absolute() / "caplab")

    @property
    def logs(self) -> Path:
        """Logs of the latest command, one a step."""
        return self.root / "logs"

    @property
    def go(self) -> Path:
        """Go modules, the build cache and, where needed, Go itself."""
        return self.root / "go"

    @property
    def binaries(self) -> Path:
        """Programs built from Go modules, in folders named by their inputs' digest."""
        return self.root / "bin"

    @property
    def maven(self) -> Path:
        """Maven's downloads."""
        return self.root / "maven"

    @property
    def contexts(self) -> Path:
        """Image build contexts, laid out anew for each build."""
        return self.root / "contexts"

    @property
    def podman(self) -> Path:
        """Podman's private settings and storage."""
        return self.root / "podman"

    @property
    def cluster(self) -> Path:
        """Files about the existing cluster; `make down` removes them."""
        return self.root / "cluster"

    @property
    def registry(self) -> Path:
        """The password of the registry's writing side, as container engines keep it."""
        return self.root / "registry"

    @property
    def kubeconfig(self) -> Path:
        """The lab's own kubeconfig; the user's stays untouched."""
        return self.cluster / "kubeconfig"

    @property
    def lock(self) -> Path:
        """The lock of the one command that may change things."""
        return self.root / "lock"
