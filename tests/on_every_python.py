"""Run lint, types, unit and property tests on every Python of pyproject.toml's range on this machine.

Each has a virtual environment of its own (.venv-3.12), and tries every random case. The last line names those that were
not run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from caplab_cluster.paths import REPOSITORY
from support.effort import THOROUGH

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
_ASK = "import sys; print('%d.%d' % sys.version_info[:2])"


def candidates(version: str) -> Iterator[str]:
    """List where an interpreter of a version may be: on PATH, or among those that pyenv installed."""
    if path := shutil.which(f"python{version}"):
        yield path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), reverse=True))


def interpreter(version: str) -> str | None:
    """Find an interpreter of that version that runs; a shim of pyenv may not, or may be of another version."""
    for path in candidates(version):
        answer = subprocess.run([path, "-c", _ASK], capture_output=True, text=True, timeout=30, check=False)
        if answer.stdout.strip() == version:
            return path
    return None


def summary(passed: Sequence[str], missing: Sequence[str]) -> str:
    """Return a sentence on what was run and what was not."""
    absent = f"; not on this machine, so not run: {', '.join(missing)}" if missing else ""
    return f"passed on Python {', '.join(passed) or 'none'}{absent}"


def main() -> int:
    """Run them. Returns 0 if all on this machine passed, 1 if one failed or none is here."""
    paths = {version: interpreter(version) for version in VERSIONS}
    for version, path in paths.items():
        if path is None:
            continue
        print(f"Python {version}: {path}", flush=True)
        variables = [f"PYTHON={path}", f"VENV=.venv-{version}"]
        if subprocess.run(
            ["make", "--no-print-directory", "test-unit", *variables],
            cwd=REPOSITORY,
            env={**os.environ, THOROUGH: "1"},
            check=False,
        ).returncode:
            print(f"FAILED on Python {version}", file=sys.stderr)
            return 1
    print(summary([version for version in VERSIONS if paths[version]], [v for v in VERSIONS if not paths[v]]))
    return 0 if any(paths.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
