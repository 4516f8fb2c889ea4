"""Measure checkers and probers, and keep it: docs/evidence/checkers.md.

Registers beside Porcupine (how fast, and whether the two agree), the others on ten million operations, the history
writer, the prober's schedule and the read routings. The last three need redis-server and Debian's Postgres on this
machine, and are skipped with a note without them. Takes a quarter of an hour, and no cluster.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from caplab_cluster.paths import REPOSITORY
from evidence import made_by
from own_servers import PROGRAMS

EVIDENCE = REPOSITORY / "docs" / "evidence" / "checkers.md"


@dataclass(frozen=True, slots=True)
class Part:
    """A script of bench/ and what it shows; needs: a program that must be installed."""

    says: str
    command: tuple[str, ...]
    needs: str = ""


POSTGRES = str(PROGRAMS / "initdb")
PARTS = (
    Part("The registers checker beside Porcupine, which stops at the first key that is not linearizable:",
         ("registers.py",)),
    Part("The two on random small histories, each a key of its own, with info, failed and cas operations:",
         ("registers_agree.py",)),
    Part("The other checkers on ten million operations of a set and of registers, with an outage and a final scan:",
         ("checkers.py",)),
    Part("The history writer, and histories whose prober was killed:", ("history_writer.py",), "redis-server"),
    Part("The prober's schedule at 1,000 operations a second:", ("prober.py", "--engine", "redis", "--rate", "1000"),
         "redis-server"),
    Part("Read routings of Postgres with a replica that replays 300 ms late:", ("read_routing.py",), POSTGRES),
)  # fmt: skip


def main() -> int:
    """Measure and write the evidence. Returns 0 if every script succeeded."""
    parts = ["# Checkers and probers: how right and how fast", "", made_by(__file__, os.getloadavg()[0]), ""]
    held = True
    for part in PARTS:
        print(part.says, flush=True)
        ended_well, printed = _run(part)
        held = held and ended_well
        print(printed, flush=True)
        parts += [part.says, "", "```text", f"$ python bench/{' '.join(part.command)}", printed, "```", ""]
    EVIDENCE.write_text("\n".join(parts))
    return 0 if held else 1


def _run(part: Part) -> tuple[bool, str]:
    """Run a script; returns whether it succeeded, and what it printed."""
    if part.needs and shutil.which(part.needs) is None:
        return True, f"not measured: {part.needs} is not on this machine"
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tests")}
    command = [sys.executable, str(REPOSITORY / "bench" / part.command[0]), *part.command[1:]]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done.returncode == 0, (done.stdout if done.returncode == 0 else done.stdout + done.stderr[-2000:]).rstrip()


if __name__ == "__main__":
    sys.exit(main())
