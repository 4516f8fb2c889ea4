"""Programs of the node and of the agent's image, started without waiting for them to end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

_TIMEOUT_SECONDS = 5.0  # they take milliseconds; waiting longer would hold up other faults


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """A program's exit code and what it wrote."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def reason(self) -> str:
        """What it wrote about its failure, on one line of at most 400 characters, or its exit code."""
        return " ".join((self.err or self.out).split())[:400] or f"exit code {self.code}"


Wait: TypeAlias = Callable[[], ProgramResult]


class Start(Protocol):
    """A function that starts a program and returns a function that waits for its end."""

    def __call__(self, argv: Sequence[str], text: str = "", files: Sequence[int] = ()) -> Wait:
        """Start argv with text as its input, and with these open files under their own numbers.

        Raises OSError, as does the function that it returns.
        """


def start(argv: Sequence[str], text: str = "", files: Sequence[int] = ()) -> Wait:
    """Start a program as a child process.

    One that takes longer than 5 s is killed, and waiting for it raises TimeoutError.
    """
    pipe = subprocess.PIPE
    process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, pass_fds=tuple(files))

    def wait() -> ProgramResult:
        try:
            out, err = process.communicate(text, timeout=_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise TimeoutError(f"{argv[0]} took longer than {_TIMEOUT_SECONDS:g} s and was killed") from None
        return ProgramResult(process.returncode, out, err)

    return wait
