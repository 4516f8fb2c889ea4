"""A copy of the repository to which a test adds something small, and which of its files that edits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from caplab_cluster.paths import REPOSITORY

_PATHS = ("", "cluster", "experiments", "operator", "probes", "dashboards", "tests")
_COMPILED = "__pycache__"
_NOT_COPIED = shutil.ignore_patterns(".*", _COMPILED, "*.egg-info", "results", "*.parquet")
_SECONDS = 300  # of one command, on a busy machine


@dataclass(frozen=True, slots=True)
class Tree:
    """The copy in a folder."""

    root: Path

    @classmethod
    def copied(cls, folder: Path) -> Tree:
        """Copy the repository into a folder that is not there yet."""
        shutil.copytree(REPOSITORY, folder, ignore=_NOT_COPIED)
        return cls(folder)

    def add(self, name: str, text: str) -> None:
        """Add a new file."""
        path = self.root / name
        assert not path.exists(), f"{name} is there already: edit it"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text, which occurs once, in a file."""
        text = (self.root / name).read_text()
        assert text.count(old) == 1, f"{name} has {old!r} {text.count(old)} times"
        (self.root / name).write_text(text.replace(old, new))

    def edited(self) -> set[str]:
        """Return the names of the repository's files that are other ones in the copy."""
        names = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file())
        kept = (name for name in names if _COMPILED not in name.parts and (REPOSITORY / name).exists())
        return {str(name) for name in kept if (REPOSITORY / name).read_bytes() != (self.root / name).read_bytes()}

    def python(self, *arguments: str, code: int = 0) -> str:
        """Run the copy's Python code, such as `-m caplab`, and return what it printed, once it ends with this code."""
        path = os.pathsep.join(str(self.root / name) for name in _PATHS)
        environment = {**os.environ, "PYTHONPATH": path}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a test runs several commands, which import the same modules
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr
