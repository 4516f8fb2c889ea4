"""Run actionlint over the workflows of .github, and over the steps of action.yml, which it does not read by itself.

python tests/lint_workflows.py    # exit code 0: nothing is wrong, 1: something is, or the check was not possible
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from caplab_cluster.failure import Failure, render
from caplab_cluster.machine.facts import inspect_machine
from caplab_cluster.paths import REPOSITORY, Cache
from caplab_cluster.progress import Progress
from caplab_cluster.toolchain import Binary, GoBuilder

MODULE = REPOSITORY / "tests" / "actionlint"
_BINARY = Binary("actionlint", "github.com/rhysd/actionlint/cmd/actionlint")
_SECONDS = 120


def actionlint(cache: Cache) -> Path:
    """Return the program's path; build it if it is missing. Raises Failure."""
    builder = GoBuilder(inspect_machine(cache.root), cache, MODULE)
    builder.ensure(Progress(cache.logs / "lint"), "build actionlint", [_BINARY])
    return builder.folder / _BINARY.name


def problems(program: Path, files: list[Path]) -> list[str]:
    """Run actionlint on workflows. Returns a line for each problem. Raises Failure if it did not end by itself."""
    command = [str(program), "-no-color", "-oneline", *map(str, files)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=_SECONDS, check=False)
    lines = done.stdout.splitlines()
    if done.returncode != int(bool(lines)):
        raise Failure(f"actionlint ended with {done.returncode}: {done.stderr.strip()[:500]}", "Run it by itself.")
    return lines


def as_workflow(action: dict[str, Any]) -> dict[str, Any]:
    """Return a composite action's steps as a reusable workflow with the same inputs."""
    inputs = {name: {"type": "string", "default": declared["default"]} for name, declared in action["inputs"].items()}
    outputs = {name: declared["value"] for name, declared in action["outputs"].items()}
    return {
        "name": action["name"],
        "on": {"workflow_call": {"inputs": inputs}},
        "jobs": {"action": {"runs-on": "ubuntu-24.04", "outputs": outputs, "steps": action["runs"]["steps"]}},
    }


def every_problem(program: Path, repository: Path = REPOSITORY) -> list[str]:
    """Return the problems of the workflows and the action of a repository."""
    action = yaml.safe_load((repository / "action.yml").read_text())
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "action.yml"
        copy.write_text(yaml.safe_dump(as_workflow(action), sort_keys=False))
        return problems(program, [*sorted((repository / ".github" / "workflows").glob("*.yml")), copy])


def main() -> int:
    """Print what is wrong."""
    try:
        lines = every_problem(actionlint(Cache.from_environment()))
    except Failure as failure:
        print(render(failure), file=sys.stderr)
        return 1
    print("\n".join(lines) if lines else "actionlint: nothing is wrong with the workflows and the action")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
