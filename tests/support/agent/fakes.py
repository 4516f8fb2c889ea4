"""A node for the agent's tests: folders like the kernel's, programs that do not run, and a clock set by hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from caplab_agent.clock import Clock, Instant
from caplab_agent.commands import ProgramResult, Wait

POD_UID = "11111111-2222-3333-4444-555555555555"
ID, PAUSE = "ab" * 32, "cd" * 32
SLICE = f"kubelet.slice/kubelet-kubepods-pod{POD_UID.replace('-', '_')}.slice"
SECOND = 1_000_000_000


class FakeClock(Clock):
    """A clock that moves only when it is told to."""

    def __init__(self, ns: int = 1000 * SECOND) -> None:
        self.boot_id = "boot-1"
        self.ns = ns

    def now(self) -> Instant:
        return Instant(self.ns, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.ns // 1000))

    def uptime_centiseconds(self) -> int:
        return self.ns // 10_000_000

    def pass_seconds(self, seconds: float) -> None:
        self.ns += int(seconds * SECOND)


@dataclass
class Programs:
    """A replacement for commands.start: notes the started commands, and answers as it is told."""

    answer: Callable[[Sequence[str], str], ProgramResult] = lambda argv, text: ProgramResult(0)
    begun: list[tuple[str, ...]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def __call__(self, argv: Sequence[str], text: str = "", files: Sequence[int] = ()) -> Wait:
        for file in files:
            os.fstat(file)  # it is open
        self.begun.append(tuple(argv))
        self.texts.append(text)
        ran = self.answer(argv, text)
        return lambda: ran

    def named(self, name: str) -> list[tuple[str, ...]]:
        return [argv for argv in self.begun if name in argv]


@dataclass(kw_only=True)
class Kernel:
    """A pod's cgroup on a node of cgroup v1 or v2; a write has its real effect, or none if stuck."""

    root: Path
    version: int = 1
    pids: dict[Path, list[int]] = field(default_factory=dict)
    writes: list[tuple[str, str]] = field(default_factory=list)
    stuck: bool = False

    @property
    def pod(self) -> Path:
        return self.root / ("freezer" if self.version == 1 else "") / SLICE

    def make(self) -> None:
        self.pod.mkdir(parents=True)
        if self.version == 1:
            (self.pod / "freezer.state").write_text("THAWED\n")
            (self.root / "cpuacct" / SLICE).mkdir(parents=True)
        else:
            (self.root / "cgroup.controllers").write_text("cpu memory\n")
            (self.pod / "cgroup.freeze").write_text("0\n")
            (self.pod / "cgroup.events").write_text("populated 1\nfrozen 0\n")
        self.use_cpu(5_000_000)

    def container(self, identity: str, *pids: int) -> Path:
        folder = self.pod / f"cri-containerd-{identity}.scope"
        folder.mkdir(exist_ok=True)
        self.pids[folder] = list(pids)
        return folder

    def read(self, folder: Path) -> list[int]:
        return self.pids.get(folder, [])

    def use_cpu(self, ns: int) -> None:
        if self.version == 1:
            (self.root / "cpuacct" / SLICE / "cpuacct.usage").write_text(f"{ns}\n")
        else:
            (self.pod / "cpu.stat").write_text(f"usage_usec {ns // 1000}\nuser_usec 1\n")

    def write(self, file: Path, text: str) -> None:
        self.writes.append((file.name, text))
        if file.name == "freezer.state":
            file.write_text(f"{'FREEZING' if self.stuck and text == 'FROZEN' else text}\n")
        else:
            file.write_text(f"{text}\n")
            frozen = "1" if text == "1" and not self.stuck else "0"
            (file.parent / "cgroup.events").write_text(f"populated 1\nfrozen {frozen}\n")

    @property
    def frozen(self) -> bool:
        if self.version == 1:
            return (self.pod / "freezer.state").read_text() == "FROZEN\n"
        return "frozen 1\n" in (self.pod / "cgroup.events").read_text()

    def remove(self) -> None:
        """Remove the pod."""
        for folder in (self.pod, self.root / "cpuacct" / SLICE):
            for top, folders, files in os.walk(folder, topdown=False):
                for name in files:
                    Path(top, name).unlink()
                for name in folders:
                    Path(top, name).rmdir()
            if folder.exists():
                folder.rmdir()
        self.pids = {}
