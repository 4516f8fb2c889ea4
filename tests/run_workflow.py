"""Run a job of a workflow on this machine, step by step, from the workflow's own file.

python tests/run_workflow.py .github/workflows/resilience.yml --input suite=smoke

Nothing is copied from the file: its steps, conditions, inputs and outputs are read from it, and from action.yml, each
time. `run` steps run as they are, in a workspace of their own with a clean clone of this repository's last commit.
Actions that are not the lab's own are implemented below; any other one is refused.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from workflow_expressions import NotKnown, Scope, filled, holds

REPOSITORY = Path(__file__).resolve().parents[1]
_BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")  # what `shell: bash` means; without it: bash -e
_PLAIN_BASH = ("bash", "-e")
_STEP_SECONDS = 4 * 3600


class Refused(Exception):
    """A workflow that cannot be run here; the message says why."""


@dataclass(kw_only=True)
class Run:
    """A running job. store: what GitHub keeps between jobs, caches and artifacts."""

    source: Path
    workspace: Path
    store: Path
    event: str = "workflow_dispatch"
    env: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    shown: list[tuple[str, str]] = field(default_factory=list)  # each step's name, and how it ended
    exit_code: int = 0

    @property
    def summary(self) -> str:
        """Return what steps have written into the job's summary."""
        file = self.store / "temp" / "summary.md"
        return file.read_text() if file.exists() else ""

    def github(self) -> dict[str, Any]:
        """Return the context github."""
        commit = _git(self.source, "rev-parse", "HEAD")
        return {
            "repository": "local/caplab",
            "sha": commit,
            "ref": "refs/heads/main",
            "run_id": "1",
            "run_attempt": "1",
            "workspace": str(self.workspace),
            "event_name": self.event,
            "event": {},
        }


def run_job(run: Run, workflow: Path, job: str, inputs: Mapping[str, Any]) -> int:
    """Run a job. Returns the exit code of its first failed step, else 0. Raises Refused and NotKnown."""
    document = yaml.safe_load(workflow.read_text())
    jobs = document["jobs"]
    name = job or next(iter(jobs))
    if name not in jobs:
        raise Refused(f"{workflow.name} has no job '{name}'. Hint: use {', '.join(jobs)}.")
    shutil.rmtree(run.store / "temp", ignore_errors=True)  # each job has its own
    for folder in ("temp", "cache", "artifacts"):
        (run.store / folder).mkdir(parents=True, exist_ok=True)
    run.workspace.mkdir(parents=True, exist_ok=True)
    contexts = {
        "inputs": _inputs(document, run.event, inputs),
        "env": {},
        "github": run.github(),
        "steps": {},
        "matrix": _matrix(jobs[name]),
        "runner": {"os": "Linux", "arch": "X64", "temp": str(run.store / "temp")},
    }
    _steps(run, jobs[name]["steps"], contexts, run.workspace)
    return run.exit_code


def _inputs(workflow: Mapping[Any, Any], event: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs as GitHub does: a schedule has none, even if other triggers have defaults."""
    on = workflow[True] if True in workflow else workflow["on"]  # YAML reads `on` as true
    trigger = on.get(event) if isinstance(on, Mapping) else None
    declared = (trigger.get("inputs") if isinstance(trigger, Mapping) else None) or {}
    if unknown := given.keys() - declared.keys():
        names = ", ".join(declared) or "none"
        raise Refused(f"{event} has no input '{sorted(unknown)[0]}'. Hint: use {names}.")
    return {name: given.get(name, declared_input.get("default", "")) for name, declared_input in declared.items()}


def _matrix(job: Mapping[str, Any]) -> dict[str, str]:
    """Return the first value of each dimension."""
    matrix = (job.get("strategy") or {}).get("matrix") or {}
    return {name: values[0] for name, values in matrix.items()}


def _steps(run: Run, steps: list[Any], contexts: dict[str, Any], action: Path) -> None:
    """Run steps in order, if their conditions hold."""
    failed = False
    for number, step in enumerate(steps, 1):
        name = step.get("name") or step.get("uses") or f"step {number}"
        if not holds(str(step.get("if", "success()")), Scope(contexts, failed)):
            _ended(run, name, "skipped")
            contexts["steps"][step.get("id", f"_{number}")] = {"outcome": "skipped", "outputs": {}}
            continue
        began = time.monotonic()
        print(f"\n=== {name}", flush=True)
        code, outputs = _step(run, step, contexts, action)
        outcome = "failure" if code else "success"
        contexts["steps"][step.get("id", f"_{number}")] = {"outcome": outcome, "outputs": outputs}
        _ended(run, name, f"{outcome} ({time.monotonic() - began:.1f} s)")
        if code and not step.get("continue-on-error"):
            failed = True
            run.failed.append(name)
            run.exit_code = run.exit_code or code


def _ended(run: Run, name: str, how: str) -> None:
    run.shown.append((name, how))
    print(f"=== {name}: {how}", flush=True)


def _step(run: Run, step: Mapping[str, Any], contexts: dict[str, Any], action: Path) -> tuple[int, dict[str, str]]:
    scope = Scope(contexts)
    if "run" in step:
        return _command(run, step, scope, action)
    given = {name: filled(str(value), scope) for name, value in (step.get("with") or {}).items()}
    uses = step["uses"]
    if uses.startswith("./"):
        return _local_action(run, run.workspace / uses, given, contexts)
    name, _, commit = uses.partition("@")
    if len(commit) != 40:
        raise Refused(f"{uses} is not pinned by its commit.")
    if name not in _ACTIONS:
        raise Refused(f"What {name} does is not known here. Hint: add it to {Path(__file__).name}.")
    return _ACTIONS[name](run, given), {}


def _command(run: Run, step: Mapping[str, Any], scope: Scope, action: Path) -> tuple[int, dict[str, str]]:
    """Run a `run` step, with the files by which it reports more than its exit code."""
    files = {name: run.store / "temp" / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH")}
    for file in files.values():
        file.write_text("")
    given = {name: filled(str(value), scope) for name, value in (step.get("env") or {}).items()}
    env = {**os.environ, "CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(run.workspace),
           "GITHUB_ACTION_PATH": str(action), "RUNNER_OS": "Linux", "RUNNER_ARCH": "X64",
           "RUNNER_TEMP": str(run.store / "temp"), "GITHUB_STEP_SUMMARY": str(run.store / "temp" / "summary.md"),
           **run.env, **{name: str(file) for name, file in files.items()}, **given}  # fmt: skip
    folder = run.workspace / filled(str(step.get("working-directory", ".")), scope)
    shell = _BASH if step.get("shell") == "bash" else _PLAIN_BASH
    script = run.store / "temp" / "step.sh"
    script.write_text(filled(step["run"], scope))
    seconds = 60 * float(step["timeout-minutes"]) if "timeout-minutes" in step else _STEP_SECONDS
    try:
        code = subprocess.run([*shell, str(script)], cwd=folder, env=env, timeout=seconds, check=False).returncode
    except subprocess.TimeoutExpired:
        code = 124
    run.env |= _assignments(files["GITHUB_ENV"])
    added = files["GITHUB_PATH"].read_text().split()
    run.env["PATH"] = os.pathsep.join([*reversed(added), env["PATH"]])
    return code, _assignments(files["GITHUB_OUTPUT"])


def _assignments(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)


def _local_action(
    run: Run, folder: Path, given: Mapping[str, str], contexts: Mapping[str, Any]
) -> tuple[int, dict[str, str]]:
    """Run a composite action: its own inputs and steps; its outputs even if one of its steps failed."""
    document = yaml.safe_load((folder / "action.yml").read_text())
    if unknown := given.keys() - document["inputs"].keys():
        raise Refused(f"{folder}/action.yml has no input '{sorted(unknown)[0]}'.")
    inputs = {name: given.get(name, str(declared.get("default", ""))) for name, declared in document["inputs"].items()}
    inner = {**contexts, "inputs": inputs, "steps": {}, "github": {**contexts["github"], "action_path": str(folder)}}
    before, run.exit_code = run.exit_code, 0
    _steps(run, document["runs"]["steps"], inner, folder)
    code, run.exit_code = run.exit_code, before
    outputs = {name: filled(declared["value"], Scope(inner)) for name, declared in document["outputs"].items()}
    return code, outputs


def _checkout(run: Run, given: Mapping[str, str]) -> int:
    """Make a clean clone of this repository's last commit."""
    target = run.workspace / given.get("path", ".")
    ref = given.get("ref") or _git(run.source, "rev-parse", "HEAD")
    if given.get("repository", "local/caplab") != "local/caplab":
        raise Refused(f"{given['repository']} is not here to be checked out.")
    subprocess.run(["git", "clone", "--quiet", "--no-local", str(run.source), str(target)], check=True)
    subprocess.run(["git", "-C", str(target), "checkout", "--quiet", "--detach", ref], check=True)
    return 0


def _setup_python(run: Run, given: Mapping[str, str]) -> int:
    """Provide the machine's own Python, under the names that the action gives it."""
    programs = run.store / "python"
    programs.mkdir(exist_ok=True)
    named = shutil.which(f"python{given['python-version']}") or sys.executable
    print(f"Python {given['python-version']}: {named}")
    for name in ("python", "python3"):
        (programs / name).unlink(missing_ok=True)
        (programs / name).symlink_to(named)
    run.env["PATH"] = os.pathsep.join([str(programs), run.env.get("PATH", os.environ["PATH"])])
    return 0


def _own_caches(run: Run, given: Mapping[str, str]) -> int:
    """Do nothing: the user's own caches are there already, and stay."""
    inside = [line for line in given["path"].split() if not line.startswith("~/.cache/")]
    if inside:
        raise Refused(f"{inside[0]} is no cache of the user's. Hint: use actions/cache/restore and save.")
    return 0


def _restore(run: Run, given: Mapping[str, str]) -> int:
    """Restore the newest that was saved under the key, else under one that begins so."""
    wanted = [given["key"], *given.get("restore-keys", "").split()]
    saved = sorted((run.store / "cache").glob("*.json"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for prefix in wanted:
        for file in saved:
            if json.loads(file.read_text())["key"].startswith(prefix):
                target = run.workspace / given["path"]
                shutil.copytree(file.with_suffix(""), target, dirs_exist_ok=True)
                print(f"restored from {json.loads(file.read_text())['key']}")
                return 0
    print("nothing was saved yet")
    return 0


def _save(run: Run, given: Mapping[str, str]) -> int:
    number = len(list((run.store / "cache").glob("*.json")))
    shutil.copytree(run.workspace / given["path"], run.store / "cache" / str(number))
    (run.store / "cache" / f"{number}.json").write_text(json.dumps({"key": given["key"]}))
    return 0


def _upload(run: Run, given: Mapping[str, str]) -> int:
    source = run.workspace / given["path"]
    if not source.exists():
        print(f"no files at {source}")
        return int(given.get("if-no-files-found") == "error")
    shutil.copytree(source, run.store / "artifacts" / given["name"], dirs_exist_ok=True)
    return 0


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


_ACTIONS: Mapping[str, Callable[[Run, Mapping[str, str]], int]] = {
    "actions/checkout": _checkout,
    "actions/setup-python": _setup_python,
    "actions/cache": _own_caches,
    "actions/cache/restore": _restore,
    "actions/cache/save": _save,
    "actions/upload-artifact": _upload,
}


def main(arguments: list[str] | None = None) -> int:
    """Run a workflow's job. Returns its exit code, or 3 if it cannot be run here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workflow", type=Path)
    parser.add_argument("--job", default="", help="the job (default: the first)")
    parser.add_argument("--event", default="workflow_dispatch")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--store", type=Path, help="where caches and artifacts are kept, for the next one too")
    parsed = parser.parse_args(arguments)
    if malformed := [pair for pair in parsed.input if "=" not in pair]:
        parser.error(f"--input takes NAME=VALUE, not '{malformed[0]}'")
    inputs = dict(pair.split("=", 1) for pair in parsed.input)
    with tempfile.TemporaryDirectory(prefix="workflow-") as folder:
        store = (parsed.store or Path(folder) / "store").absolute()
        run = Run(source=REPOSITORY, workspace=Path(folder) / "workspace", store=store, event=parsed.event)
        try:
            code = run_job(run, parsed.workflow, parsed.job, inputs)
        except (Refused, NotKnown) as error:
            print(f"FAILED: {error}", file=sys.stderr)
            return 3
        print(f"\n=== summary\n{run.summary}\n=== steps")
        for name, how in run.shown:
            print(f"  {how:<22} {name}")
        print(f"exit code {code}")
        return code


if __name__ == "__main__":
    sys.exit(main())
