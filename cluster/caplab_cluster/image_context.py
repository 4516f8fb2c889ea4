"""What a lab image is built from beside its own folder: the project's sources, and wheels.

    # images/NAME/context.toml
    sources = ["caplab", "operator/caplab_operator"]  # copied to src/ of the context
    wheels = "requirements.lock"                      # of this folder; fetched to wheels/

Wheels are fetched here and not in the Dockerfile, because inside a build pip does not see
the host's client settings (index, proxy, certificates).
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

from . import versions
from .failure import Failure
from .paths import REPOSITORY, Cache
from .progress import Step

_ABIS = ("abi3", "none")
_GLIBCS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")


@dataclass(frozen=True, slots=True)
class Context:
    """What a context.toml says: folders of the repository, and a file of pinned requirements."""

    sources: tuple[Path, ...] = ()
    wheels: Path | None = None


def read(folder: Path) -> Context:
    """An image folder's context.toml; Failure names the file and what is wrong with it."""
    file = folder / "context.toml"
    if not file.exists():
        return Context()
    try:
        said = tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        raise Failure(f"{file} is not TOML: {error}.", "Mend the line it names.") from error
    if unknown := sorted(set(said) - {"sources", "wheels"}):
        raise Failure(f"{file} says '{unknown[0]}'.", "Use only: sources, wheels.")
    sources = tuple(REPOSITORY / name for name in said.get("sources", []))
    for source in sources:
        if not source.is_dir():
            raise Failure(f"{file} names the source {source}, which is no folder.", "Name a folder of the repository.")
    return Context(sources, folder / said["wheels"] if "wheels" in said else None)


@contextmanager
def laid_out(step: Step, cache: Cache, folder: Path) -> Iterator[Path]:
    """The build context of an image folder: the folder itself, or a copy with what it asks for."""
    context = read(folder)
    if not context.sources and context.wheels is None:
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
        yield target


def wheel_command(requirements: Path, target: Path, machine: str) -> list[str]:
    """The pip call that fetches wheels for the lab base's Python, whatever Python runs here."""
    arch = {"arm64": "aarch64", "AMD64": "x86_64"}.get(machine, machine)
    major, minor = versions.DEBIAN_LAB_PYTHON
    tags = [f"--abi={abi}" for abi in (f"cp{major}{minor}", *_ABIS)]
    tags += [f"--platform={glibc}_{arch}" for glibc in _GLIBCS]
    return [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:",
            "--implementation=cp", f"--python-version={major}.{minor}", *tags,
            "--dest", str(target), "--requirement", str(requirements)]  # fmt: skip
