"""Runs of `caplab run` on the real cluster, as a user starts them; their clusters stay for the next one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.kind.kind_lab import Lab, log_folder

BIN = Path(sys.executable).parent


def environment(lab: Lab) -> dict[str, str]:
    """Return the environment of a command that uses the lab's cluster."""
    return {**os.environ, "KUBECONFIG": str(lab.cache.kubeconfig)}


def command(results: Path, name: str, settings: Mapping[str, str]) -> list[str]:
    """Return the command of a `caplab run` of a suite, an experiment or a file."""
    options = [word for setting, value in settings.items() for word in ("--set", f"{setting}={value}")]
    return [str(BIN / "caplab"), "run", name, "--keep", "--results", str(results), *options]


def run(lab: Lab, results: Path, name: str, repeat: str = "1", **settings: str) -> tuple[int, dict[str, Any], Path]:
    """Run one `caplab run`. Returns its exit code, its verdict.json, and the folder of its last run."""
    log = log_folder() / f"run-{name.replace('/', '-').removeprefix('-')[-60:]}.log"
    with log.open("w") as out:
        done = subprocess.run(
            [*command(results, name, settings), "--repeat", repeat],
            env=environment(lab),
            stdout=out,
            stderr=out,
            check=False,
        )
    print(f"\n{log.read_text()}")
    (folder,) = results.iterdir()
    return done.returncode, json.loads((folder / "verdict.json").read_text()), max(folder.glob("0*-*"))
