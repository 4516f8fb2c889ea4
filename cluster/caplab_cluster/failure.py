"""Failures as they are reported: one clear sentence, what was tried, the hint, the log's end."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

_TRIED_WIDTH = 160  # the log above has the whole command


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a log's end shows, and its hint."""

    sentence: str
    hint: str


class Failure(Exception):
    """Ends the command with exit code 1 and this report."""

    def __init__(
        self,
        sentence: str,
        hint: str,
        tried: tuple[str, ...] = (),
        log: Path | None = None,
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.tried = tried
        self.log = log


# In this order: a full disk also breaks downloads, and a missing network breaks what follows it.
_PATTERNS: tuple[tuple[str, Diagnosis], ...] = (
    (
        r"no space left on device|disk quota exceeded|not enough free disk space|"
        r"don't have enough free space",
        Diagnosis("The disk is full.", "Free some space (`make clean` drops the lab's caches), then try again."),
    ),
    (
        r"no such host|temporary failure (in name resolution|resolving)|could not resolve|"
        r"name or service not known|network is unreachable|no route to host|i/o timeout|"
        r"tls handshake timeout|connection timed out|failed to establish a new connection|"
        r"unable to connect to|failed to fetch|dial tcp [^ ]+: connect: connection refused",
        Diagnosis(
            "The network is down, or a package registry does not answer.",
            "Check the network and the proxy settings, then try again: completed steps are kept.",
        ),
    ),
    (
        r"permission denied|operation not permitted|are you root\?|must be (run as )?root|"
        r"requires? root|access denied",
        Diagnosis(
            "Permission was denied.",
            "Try again as root, or as a user who may use the container engine and write to the cache.",
        ),
    ),
    (
        r"address already in use|port is already allocated",
        Diagnosis("A port that the lab needs is in use.", "Stop the process that listens there, then try again."),
    ),
)


def diagnose(log_end: str) -> Diagnosis | None:
    """Return the known cause that a log's end shows, or None."""
    for pattern, diagnosis in _PATTERNS:
        if re.search(pattern, log_end, re.IGNORECASE):
            return diagnosis
    return None


def tail(path: Path, lines: int = 25) -> str:
    """Return a log's last lines, from its last 64 KiB; '' if there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 65536))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.replace("\r", "\n").splitlines()[-lines:])


def render(failure: Failure) -> str:
    """Format the report: the log's end first, the sentence and the hint last."""
    parts: list[str] = []
    if failure.log and (end := tail(failure.log)):
        parts += [f"--- end of {failure.log}", end, "---"]
    parts.append(f"FAILED: {failure.sentence}")
    parts += [f"  tried: {textwrap.shorten(what, _TRIED_WIDTH, placeholder=' ...')}" for what in failure.tried]
    parts.append(f"  hint:  {failure.hint}")
    return "\n".join(parts)
