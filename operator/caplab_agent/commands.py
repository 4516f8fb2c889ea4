"""Programs of the node and of the agent's image, begun without waiting for them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

_TIMEOUT_SECONDS = 5.0  # they take milliseconds; whoever waits holds up other faults


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """How a program ended."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def reason(self) -> str:
        """What it said of its failure, on one line."""
        return " ".join((self.err or self.out).split())[:400] or f"exit code {self.code}"


Wait: TypeAlias = Callable[[], ProgramResult]


class Start(Protocol):
    """Begins a program; what is returned waits for its end."""

    def __call__(self, argv: Sequence[str], text: str = "", files: Sequence[int] = ()) -> Wait:
        """Begin argv with text as its input and these open files under their own numbers. Both may raise OSError."""


def start(argv: Sequence[str], text: str = "", files: Sequence[int] = ()) -> Wait:
    """Begin a program for real; one that takes longer than 5 s is killed, and its waiter raises TimeoutError."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, pass_fds=tuple(files))

    def wait() -> ProgramResult:
        try:
            out, err = process.communicate(text, timeout=_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise TimeoutError(f"{argv[0]} took longer than {_TIMEOUT_SECONDS:g} s, and was killed") from None
        return ProgramResult(process.returncode, out, err)

    return wait
