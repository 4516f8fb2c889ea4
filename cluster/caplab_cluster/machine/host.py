"""What `make up` changes on the host, each change announced: limits that nodes need."""

from __future__ import annotations

from pathlib import Path

from ..progress import Progress
from ..shell import ask
from .doctor import INOTIFY_INSTANCES_NEEDED, INOTIFY_WATCHES_NEEDED
from .facts import Machine


def prepare(progress: Progress, machine: Machine, engine_name: str) -> None:
    """Raise inotify limits until the next boot, and make the folder that kind mounts.

    Only root can; doctor has already reported a limit that stays low.
    """
    if not machine.root or machine.system != "Linux":
        return
    wanted = (
        ("max_user_instances", machine.inotify_instances, INOTIFY_INSTANCES_NEEDED),
        ("max_user_watches", machine.inotify_watches, INOTIFY_WATCHES_NEEDED),
    )
    for name, value, needed in wanted:
        if value is not None and value < needed:
            done = ask(["sysctl", "-w", f"fs.inotify.{name}={needed}"])
            how = "until the next boot" if done.ok else f"did not work: {done.err.strip()}"
            progress.report(f"  needs root: fs.inotify.{name} {value} -> {needed}, {how}")
    modules = Path("/lib/modules")  # kind mounts it into every node; Docker would make it, podman refuses
    if engine_name == "podman" and not modules.exists():
        progress.report(f"  needs root: making the empty folder {modules}, which kind mounts into the nodes")
        modules.mkdir(parents=True)
