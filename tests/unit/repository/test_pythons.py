"""The tests run on every Python that the project names, and say which of them were not here."""

from __future__ import annotations

import asyncio
import re
import tomllib
from pathlib import Path

import on_every_python
import pytest
from caplab_cluster.paths import REPOSITORY
from support.databases import loopback


def fake_python(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return path


def test_a_shim_that_runs_no_python_is_passed_over_for_one_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_python(tmp_path / "shims", "python3.12", "exit 127")
    fake_python(tmp_path / "shims", "python3.13", "echo 3.9")
    real = fake_python(tmp_path / "pyenv/versions/3.12.1/bin", "python3.12", "echo 3.12")
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}:/usr/bin:/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert on_every_python.interpreter("3.12") == str(real)
    assert on_every_python.interpreter("3.13") is None


def test_what_was_not_run_is_said() -> None:
    assert on_every_python.summary(["3.11", "3.13"], ["3.14"]) == (
        "passed on Python 3.11, 3.13; not on this machine, so not run: 3.14"
    )


def test_the_range_of_pythons_is_the_same_everywhere() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    first, last = on_every_python.VERSIONS[0], on_every_python.VERSIONS[-1]
    after = f"3.{int(last.partition('.')[2]) + 1}"
    assert project["requires-python"] == f">={first},<{after}"
    assert f"Python {first} to {last}" in (REPOSITORY / "README.md").read_text()
    workflow = (REPOSITORY / ".github/workflows/test.yml").read_text()
    assert re.findall(r'"(3\.\d+)"', workflow) == list(on_every_python.VERSIONS)


def test_a_silent_server_keeps_its_connections_open_on_every_python() -> None:
    async def scenario() -> None:
        async with loopback.silent() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.2)
            writer.close()

    loopback.run(scenario)
