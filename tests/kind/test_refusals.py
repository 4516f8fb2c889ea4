"""What can't work ends with one clear sentence and a non-zero exit code: for real, not simulated."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from caplab_cluster import podman
from caplab_cluster.paths import REPOSITORY, Cache
from caplab_cluster.shell import CommandResult
from support.kind.kind_lab import Lab

pytestmark = pytest.mark.beside

linux_root = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/proc/mounts").exists() or shutil.which("unshare") is None,
    reason="needs root on Linux to take network, space or permission away",
)


def up(cache: Path, prefix: Sequence[str] = (), **environment: str) -> CommandResult:
    """`up` with a cache of its own, from a copy of this environment."""
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY / "cluster"), "CAPLAB_CACHE": str(cache), **environment}
    command = [*prefix, sys.executable, "-m", "caplab_cluster", "up"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
    return CommandResult(done.returncode, done.stdout, done.stderr)


def sentence(answer: CommandResult) -> str:
    """The one FAILED line; there must be exactly one, with a hint, and no traceback."""
    assert answer.code == 1, answer.out + answer.err
    assert "Traceback" not in answer.err
    failed = [line for line in answer.err.splitlines() if line.startswith("FAILED: ")]
    assert len(failed) == 1, answer.err
    assert "\n  hint:  " in answer.err
    return failed[0]


def fake(folder: Path, name: str, prints: str) -> str:
    """A program of that name, first on PATH, that prints a version."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{prints}'\n")
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_a_docker_that_is_too_old_is_named_with_its_version(tmp_path: Path) -> None:
    path = fake(tmp_path / "bin", "docker", "19.03.1")
    message = sentence(up(tmp_path / "cache", PATH=path, CAPLAB_ENGINE="docker"))
    assert "Docker 19.3.1 is older than 20.10.0" in message


def test_an_unknown_option_is_named(tmp_path: Path) -> None:
    assert "CAPLAB_IMAGES is 'bild'" in sentence(up(tmp_path / "cache", CAPLAB_IMAGES="bild"))


def test_a_python_that_is_too_old_is_refused_before_anything_else(tmp_path: Path) -> None:
    """The check stands before every line that an older Python can't read."""
    script = (
        "import runpy, sys; sys.version_info = (3, 9, 2, 'final', 0);"
        "runpy.run_module('caplab_cluster', run_name='__main__')"
    )
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY / "cluster")}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("FAILED: Python 3.11 or newer is needed.")


@pytest.fixture
def own_cache(tmp_path: Path) -> Iterator[Path]:
    """An empty cache, whose podman leaves no mount behind."""
    yield tmp_path / "cache"
    podman.release_storage(Cache(tmp_path / "cache"))


@linux_root
def test_no_network_is_said_in_a_sentence(lab: Lab, own_cache: Path) -> None:
    if lab.engine.name != "podman":
        pytest.skip("Docker's daemon keeps its network, whatever this process has")
    message = sentence(up(own_cache, ["unshare", "--net"]))
    assert "The network is down, or a package registry does not answer." in message


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@linux_root
def test_no_space_is_said_before_anything_is_done(small_disk: Path) -> None:
    message = sentence(up(small_disk / "cache"))
    assert "too little disk space: 0.1 GiB free" in message


@linux_root
def test_no_permission_to_use_or_install_an_engine_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if not os.access("/usr/bin/python3", os.X_OK):
        pytest.skip("needs a Python that everybody may run")
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "cluster"), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    env["CAPLAB_CACHE"] = str(tmp_path / "cache")
    shutil.copytree(REPOSITORY / "cluster", tmp_path / "cluster")
    for parent in tmp_path.parents:
        if parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)
    command = [*nobody, "/usr/bin/python3", "-m", "caplab_cluster", "up"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd="/")
    message = sentence(CommandResult(done.returncode, done.stdout, done.stderr))
    assert "without root" in message or "only root can install one" in message


@linux_root
def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = sentence(up(tmp_path / "file" / "cache"))
    assert "can't be written" in message
