"""Short commands whose output is wanted; a command that fails raises nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommandResult:
    """A command's result. code is 127 if it does not exist, 124 if it took too long."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """True if the command exited with 0."""
        return self.code == 0


def ask(
    command: Sequence[str],
    timeout_seconds: float = 30,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> CommandResult:
    """Run a command to its end; env is added to this process's own."""
    try:
        done = subprocess.run(
            list(command),
            capture_output=True,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            env={**os.environ, **(env or {})},
            check=False,
        )
    except FileNotFoundError:
        return CommandResult(127, "", f"{command[0]}: not found")
    except PermissionError:
        return CommandResult(126, "", f"{command[0]}: permission denied")
    except subprocess.TimeoutExpired:
        return CommandResult(124, "", f"{command[0]}: no answer within {timeout_seconds:g} s")
    return CommandResult(done.returncode, done.stdout, done.stderr)
