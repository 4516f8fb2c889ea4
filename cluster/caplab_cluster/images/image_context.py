"""Build context of a lab image, beside its own folder: the project's sources, wheels and jars.

# images/NAME/context.toml
sources = ["caplab", "operator/caplab_operator"]  # copied to src/ of the context
wheels = "requirements.lock"                      # of this folder; fetched to wheels/
jars = "pom.xml"                                  # of this folder; what it names is fetched to lib/

Wheels and jars are fetched here and not in the Dockerfile, because inside a build pip and Maven do
not see the host's client settings (index, proxy, certificates). If the host has no Maven, lib/ is missing
and the Dockerfile fetches the jars itself.
"""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .. import versions
from ..failure import Failure
from ..machine.facts import Tool
from ..paths import REPOSITORY, Cache
from ..progress import Step

_ABIS = ("abi3", "none")
_GLIBCS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")


@dataclass(frozen=True, slots=True)
class Context:
    """The content of a context.toml: folders of the repository, a file of pinned requirements, and a Maven project."""

    sources: tuple[Path, ...] = ()
    wheels: Path | None = None
    jars: Path | None = None


def read(folder: Path) -> Context:
    """Read an image folder's context.toml. Raises Failure, which names the file and what is wrong with it."""
    file = folder / "context.toml"
    if not file.exists():
        return Context()
    try:
        settings = tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        raise Failure(f"{file} is not TOML: {error}.", "Correct the line it names.") from error
    if unknown := sorted(set(settings) - {"sources", "wheels", "jars"}):
        raise Failure(f"{file} has the unknown key '{unknown[0]}'.", "Use only: sources, wheels, jars.")
    sources = tuple(REPOSITORY / name for name in settings.get("sources", []))
    for source in sources:
        if not source.is_dir():
            raise Failure(
                f"{file} names the source {source}, which is not a folder.", "Name a folder in the repository."
            )
    wheels, jars = (folder / settings[name] if name in settings else None for name in ("wheels", "jars"))
    return Context(sources, wheels, jars)


@contextmanager
def build_context(step: Step, cache: Cache, folder: Path, maven: Tool | None) -> Iterator[Path]:
    """Yield the build context of an image folder: the folder itself, or a copy with what it asks for."""
    context = read(folder)
    if context == Context():
        yield folder
        return
    cache.contexts.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.contexts) as name:
        target = Path(name) / "context"
        shutil.copytree(folder, target)
        for source in context.sources:
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target / "src" / source.name, ignore=ignore)
        if context.wheels:
            step.run(wheel_command(context.wheels, target / "wheels", platform.machine()))
        if context.jars and maven:
            step.run(jar_command(maven, context.jars, target / "lib", cache))
        yield target


def wheel_command(requirements: Path, target: Path, machine: str) -> list[str]:
    """Return the pip call that fetches wheels for the lab base's Python, whatever Python runs here."""
    arch = {"arm64": "aarch64", "AMD64": "x86_64"}.get(machine, machine)
    major, minor = versions.DEBIAN_LAB_PYTHON
    tags = [f"--abi={abi}" for abi in (f"cp{major}{minor}", *_ABIS)]
    tags += [f"--platform={glibc}_{arch}" for glibc in _GLIBCS]
    return [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:",
            "--implementation=cp", f"--python-version={major}.{minor}", *tags,
            "--dest", str(target), "--requirement", str(requirements)]  # fmt: skip


def jar_command(maven: Tool, project: Path, target: Path, cache: Cache) -> list[str]:
    """Return the Maven call that fetches the jars a project names; what it has fetched before is in the cache."""
    return [maven.path, "--batch-mode", "--quiet", "--file", str(project), f"-Djars={target}",
            f"-Dmaven.repo.local={cache.maven}", "dependency:copy-dependencies"]  # fmt: skip
