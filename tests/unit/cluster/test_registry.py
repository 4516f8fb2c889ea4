"""Pushes to the lab's registry, each in the words of its engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from caplab_cluster.engine import ContainerEngine
from caplab_cluster.progress import Progress
from caplab_cluster.registry import Registry


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        (
            "podman",
            ["push --tls-verify=false --compression-format=zstd --authfile={folder}/config.json local {target}"],
        ),
        ("docker", ["tag local {target}", "--config {folder} push {target}", "rmi {target}"]),
    ],
)
def test_an_image_is_pushed_by_the_flags_that_its_engine_knows(tmp_path: Path, name: str, calls: list[str]) -> None:
    program, log = tmp_path / name, tmp_path / "calls"
    program.write_text(f'#!/bin/sh\necho "$*" >> {log}\n')
    program.chmod(0o755)
    registry = Registry(ContainerEngine(name, str(program), {}), 5001, tmp_path)
    with Progress(tmp_path / "logs").step("push") as step:
        registry.push(step, "local", "base", "tag")
    target = "127.0.0.1:5001/base:tag"
    assert log.read_text().splitlines() == [call.format(folder=tmp_path, target=target) for call in calls]
