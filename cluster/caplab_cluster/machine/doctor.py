"""Checks whether this machine can run the lab, and what will be unavailable on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..failure import Failure
from .choose import SetupOptions, choose_engine
from .facts import Machine

GIB = 1024**3
MEMORY_NEEDED = 4 * GIB  # the idle cluster and the databases of one engine
MEMORY_WANTED = 8 * GIB  # all three engines, their probers and dashboards
DISK_NEEDED = 4 * GIB  # a cluster from warm caches
DISK_WANTED = 12 * GIB  # a first start: Go modules, build cache, images
INOTIFY_INSTANCES_NEEDED = 512  # four nodes, each with a systemd, a kubelet and a containerd
INOTIFY_WATCHES_NEEDED = 65536


@dataclass(frozen=True, slots=True)
class Check:
    """One check: level is ok, unknown, warn (something is unavailable) or fail."""

    name: str
    level: str
    value: str
    sentence: str = ""


def examine(machine: Machine, options: SetupOptions) -> tuple[Check, ...]:
    """Check a machine; the checks are in the order they are shown."""
    return (
        _engine(machine, options),
        _cgroup(machine),
        _memory(machine),
        _disk(machine),
        *_inotify(machine),
        _feature("nf_tables", machine.nf_tables, "partitions", "Load the kernel module nf_tables."),
    )


def refuse_unfit(checks: Sequence[Check]) -> None:
    """Raise Failure for the first check that fails."""
    for check in checks:
        if check.level == "fail":
            what, _, hint = check.sentence.partition(" Hint: ")
            raise Failure(what, hint)


def render(checks: Sequence[Check]) -> str:
    """Format one line for each check, with its sentence below it if it has one."""
    lines = []
    for check in checks:
        lines.append(f"  {check.level:<7}  {check.name:<18} {check.value}")
        if check.sentence:
            lines.append(f"           {'':<18} {check.sentence}")
    return "\n".join(lines)


def _engine(machine: Machine, options: SetupOptions) -> Check:
    try:
        choice = choose_engine(machine, options)
    except Failure as failure:
        return Check("container engine", "fail", "none", f"{failure.sentence} Hint: {failure.hint}")
    return Check("container engine", "ok", choice.why)


def _cgroup(machine: Machine) -> Check:
    if machine.cgroup is None:
        return Check("cgroup", "unknown", f"not reported by {machine.system}: the engine's virtual machine decides")
    return Check("cgroup", "ok", f"v{machine.cgroup}")


def _memory(machine: Machine) -> Check:
    if machine.memory_bytes is None:
        return Check("memory", "unknown", f"not reported by {machine.system}: give the engine's virtual machine 8 GiB")
    value = f"{machine.memory_bytes / GIB:.1f} GiB"
    if machine.memory_bytes < MEMORY_NEEDED:
        return Check(
            "memory",
            "fail",
            value,
            f"There is too little memory: {value}, and the lab needs {MEMORY_NEEDED // GIB} GiB."
            " Hint: Use a larger machine.",
        )
    if machine.memory_bytes < MEMORY_WANTED:
        return Check("memory", "warn", value, "Enough for one database engine at a time, not for all three.")
    return Check("memory", "ok", value)


def _disk(machine: Machine) -> Check:
    if machine.disk_free_bytes is None:
        return Check(
            "disk", "unknown", "not reported", f"The lab needs {DISK_WANTED // GIB} GiB free where its cache is."
        )
    value = f"{machine.disk_free_bytes / GIB:.1f} GiB free"
    if machine.disk_free_bytes < DISK_NEEDED:
        return Check(
            "disk",
            "fail",
            value,
            f"There is too little disk space: {value} where the cache is, and the lab needs"
            f" {DISK_NEEDED // GIB} GiB. Hint: Free some space, or set CAPLAB_CACHE to a folder with room.",
        )
    if machine.disk_free_bytes < DISK_WANTED:
        return Check("disk", "warn", value, f"Enough with warm caches; a first start needs {DISK_WANTED // GIB} GiB.")
    return Check("disk", "ok", value)


def _inotify(machine: Machine) -> tuple[Check, ...]:
    limits = (
        ("max_user_instances", machine.inotify_instances, INOTIFY_INSTANCES_NEEDED),
        ("max_user_watches", machine.inotify_watches, INOTIFY_WATCHES_NEEDED),
    )
    return tuple(_limit(name, value, needed, machine.root) for name, value, needed in limits if value is not None)


def _limit(name: str, value: int, needed: int, root: bool) -> Check:
    if value >= needed:
        return Check(f"inotify {name[9:]}", "ok", str(value))
    hint = f"sysctl -w fs.inotify.{name}={needed}"
    says = f"`make up` raises it until the next boot: {hint}" if root else f"Nodes may not start: run sudo {hint}"
    return Check(f"inotify {name[9:]}", "warn", str(value), says)


def _feature(name: str, there: bool | None, needed_for: str, hint: str) -> Check:
    if there is None:
        return Check(name, "unknown", "not tried here: `make status` tries it in a node")
    if there:
        return Check(name, "ok", "there")
    return Check(name, "warn", "absent", f"Unavailable: {needed_for}. {hint}")
