"""What this machine is and has, as seen before anything is chosen."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..shell import ask
from ..versions import Version

_INOTIFY = Path("/proc/sys/fs/inotify")


@dataclass(frozen=True, slots=True)
class Tool:
    """A program on PATH; version is None if it does not report one."""

    path: str
    version: Version | None


@dataclass(frozen=True, slots=True)
class DetectedEngine:
    """A container engine's client on PATH; version is the engine's, None if none answers."""

    path: str
    version: Version | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Facts only: sizes in bytes, None if this system does not report them."""

    system: str  # Linux, Darwin
    debian: bool
    root: bool
    systemd: bool
    docker: DetectedEngine | None
    podman: DetectedEngine | None
    go: Tool | None
    kind: Tool | None
    kubectl: Tool | None
    helm: Tool | None
    maven: Tool | None
    cgroup: int | None  # 1, 2
    open_files_limit: int | None
    cpus: int
    memory_bytes: int | None
    disk_free_bytes: int | None
    inotify_instances: int | None
    inotify_watches: int | None
    nf_tables: bool | None


def parse_version(text: str) -> Version | None:
    """Return the first version in a text: 'go version go1.26.8 linux' is (1, 26, 8)."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def inspect_machine(cache: Path) -> Machine:
    """Inspect this machine; cache is where the disk must have room."""
    linux = platform.system() == "Linux"
    return Machine(
        system=platform.system(),
        debian="debian" in _read(Path("/etc/os-release")).lower(),
        root=os.geteuid() == 0,
        systemd=Path("/run/systemd/system").is_dir(),
        docker=_docker(),
        podman=_podman(),
        go=detect_go(),
        kind=_tool("kind", "version"),
        kubectl=_tool("kubectl", "version", "--client"),
        helm=_tool("helm", "version", "--short"),
        maven=_tool("mvn", "--version"),
        cgroup=_cgroup() if linux else None,
        open_files_limit=_open_files_limit() if linux else None,
        cpus=os.cpu_count() or 1,
        memory_bytes=_memory() if linux else None,
        disk_free_bytes=_disk_free(cache),
        inotify_instances=_number(_INOTIFY / "max_user_instances"),
        inotify_watches=_number(_INOTIFY / "max_user_watches"),
        nf_tables=_nf_tables() if linux else None,
    )


def detect_go() -> Tool | None:
    """Return the Go on PATH, for callers that need nothing else of the machine."""
    return _tool("go", "version")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _tool(name: str, *arguments: str) -> Tool | None:
    path = shutil.which(name)
    if path is None:
        return None
    answer = ask([path, *arguments], timeout_seconds=10)
    return Tool(path, parse_version(answer.out) if answer.ok else None)


def _docker() -> DetectedEngine | None:
    path = shutil.which("docker")
    # podman-docker installs a 'docker' that is podman: it counts as podman.
    if path is None or "podman" in ask([path, "--version"], timeout_seconds=10).out.lower():
        return None
    answer = ask([path, "version", "--format", "{{.Server.Version}}"], timeout_seconds=10)
    if not answer.ok:
        lines = (answer.err or answer.out).strip().splitlines()
        return DetectedEngine(path, None, lines[-1].partition(". ")[0] if lines else "no output")
    return DetectedEngine(path, parse_version(answer.out))


def _podman() -> DetectedEngine | None:
    path = shutil.which("podman")
    if path is None:
        return None
    return DetectedEngine(path, parse_version(ask([path, "--version"], timeout_seconds=10).out))


def _cgroup() -> int | None:
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        return 2
    return 1 if any((root / name).is_dir() for name in ("memory", "cpu", "cpuacct")) else None


def _open_files_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def _memory() -> int | None:
    match = re.search(r"^MemTotal:\s+(\d+) kB", _read(Path("/proc/meminfo")), re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _disk_free(path: Path) -> int | None:
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


def _in_empty_network(*command: str) -> bool | None:
    """Try something in a network namespace of its own; None if that cannot be tried."""
    if shutil.which(command[0]) is None or shutil.which("unshare") is None:
        return None
    namespace = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    if not ask([*namespace, "true"]).ok:
        return None
    return ask([*namespace, *command]).ok


def _nf_tables() -> bool | None:
    return _in_empty_network("nft", "add", "table", "inet", "caplab_doctor")
