"""Containers of somebody else on the lab's engine, made for a test."""

from __future__ import annotations

import uuid

from caplab_cluster.kind_cluster import NODES

from support.kind.kind_lab import Lab

SECONDS = "3600"


def start_foreign_container(lab: Lab, *options: str) -> str:
    """Start a container that only sleeps, with more options of `run`, and return its name.

    Should the test be killed, the container ends and goes by itself within the hour, and no later test meets its name.
    """
    name = f"caplab-test-{uuid.uuid4().hex[:12]}"
    image = lab.engine.must("inspect", "--format", "{{.Config.Image}}", NODES[0])
    lab.engine.must("run", "--detach", "--rm", "--name", name, *options, "--entrypoint", "sleep", image, SECONDS)
    return name
