"""The lab's own podman: installed from Debian if need be, with private settings and storage."""

from __future__ import annotations

import os
from pathlib import Path

from .digest import digest
from .engine import ContainerEngine
from .machine.choose import EngineChoice, podman_settings, storage_settings
from .machine.facts import Machine
from .paths import Cache
from .progress import Progress
from .shell import ask

# What podman needs to run privileged nodes on a network with names; mmdebstrap makes bases.
PACKAGES = (
    "podman", "crun", "runc", "netavark", "aardvark-dns", "iptables", "nftables",
    "iproute2", "conntrack", "ipset", "mmdebstrap",
)  # fmt: skip


def install(progress: Progress) -> None:
    """Install podman from Debian's packages (needs root)."""
    progress.report("  needs root: installing podman and what it needs from Debian's packages")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with progress.step("install podman") as step:
        step.run(["apt-get", "update", "-q"], env=quiet)
        step.run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *PACKAGES], env=quiet)


def runtime_folder(machine: Machine, cache: Cache) -> Path:
    """Return where podman keeps what must not outlive a boot: one folder a cache, or two would mix."""
    base = "/run" if machine.root else os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/caplab-{os.geteuid()}"
    return Path(base) / "caplab" / digest([], str(cache.root))


def engine(choice: EngineChoice, machine: Machine, cache: Cache) -> ContainerEngine:
    """Write the private settings, and return how podman is called with them."""
    runtime = runtime_folder(machine, cache)
    cache.podman.mkdir(parents=True, exist_ok=True)
    settings, storage = cache.podman / "containers.conf", cache.podman / "storage.conf"
    settings.write_text(podman_settings(machine, cache.podman, runtime))
    storage.write_text(storage_settings(cache.podman, runtime))
    env = {"CONTAINERS_CONF": str(settings), "CONTAINERS_STORAGE_CONF": str(storage)}
    return ContainerEngine("podman", choice.path, env)


def release_storage(cache: Cache) -> None:
    """Unmount what podman keeps mounted in its storage, so that the cache can be removed."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return
    points = [line.split()[1] for line in mounts.read_text().splitlines()]
    for point in sorted((p for p in points if Path(p).is_relative_to(cache.podman)), reverse=True):
        ask(["umount", "--lazy", point])
