"""Machines for the tests of choices."""

from __future__ import annotations

from dataclasses import replace

from caplab_cluster.machine.facts import DetectedEngine, Machine

GIB = 1024**3

BARE_DEBIAN = Machine(
    system="Linux",
    debian=True,
    root=True,
    systemd=False,
    docker=None,
    podman=None,
    go=None,
    kind=None,
    kubectl=None,
    helm=None,
    maven=None,
    cgroup=1,
    open_files_limit=20000,
    cpus=2,
    memory_bytes=24 * GIB,
    disk_free_bytes=60 * GIB,
    inotify_instances=128,
    inotify_watches=192536,
    nf_tables=None,
)

DOCKER_LAPTOP = replace(
    BARE_DEBIAN,
    system="Darwin",
    debian=False,
    root=False,
    docker=DetectedEngine("/usr/local/bin/docker", (28, 2, 2)),
    cgroup=None,
    open_files_limit=None,
    memory_bytes=None,
    inotify_instances=None,
    inotify_watches=None,
)
