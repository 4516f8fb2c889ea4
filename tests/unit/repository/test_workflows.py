"""Workflows and the action: pinned, bounded, with least rights, linted; and their steps run as their own file says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from caplab_cluster import versions
from caplab_cluster.failure import Failure
from caplab_cluster.paths import REPOSITORY, Cache
from lint_workflows import MODULE, actionlint, every_problem
from run_workflow import Refused, Run, main, run_job
from support.docs_examples import code
from workflow_expressions import NotKnown, Scope, evaluate, filled, holds

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
ACTION = REPOSITORY / "action.yml"
PAGE = (REPOSITORY / "docs" / "pipelines.md").read_text()
GITHUB, GITLAB = (yaml.safe_load(text) for language, text in code(PAGE) if language == "yaml")
(JENKINS,) = (text for language, text in code(PAGE) if language == "groovy")

# The lab as a checkout has it, but with a cluster that costs nothing and runs that end as the test wants.
MAKEFILE = """\
venv:
\tmkdir -p .venv/bin && printf '%s' "$$FAKE_CAPLAB" > .venv/bin/caplab && chmod +x .venv/bin/caplab
up:
\techo up >> "$$FAKE_LOG"; exit $${FAKE_UP:-0}
down:
\techo down >> "$$FAKE_LOG"
"""
CAPLAB = """\
#!/bin/bash
case "$1" in
nightly) exec "$FAKE_PYTHON" -m caplab "$@";;
run)
  case "$*" in
  "run smoke "*--plan|"run core "*--plan|"run postgres/kill-primary"*--plan) exit 0;; # asking takes a second
  *--plan) exec "$FAKE_PYTHON" -m caplab "$@";;
  esac
  echo "run $*" >> "$FAKE_LOG"
  [[ -n "$FAKE_SUITE" ]] || exit "${FAKE_RUN:-3}"
  while [[ $# -gt 1 && "$1" != --results ]]; do shift; done
  results="${2:-results}"; mkdir -p "$results" && cp -R "$FAKE_SUITE" "$results/$FAKE_NAME"
  exit "${FAKE_RUN:-0}";;
compare) echo "the failover of pg is slower"; echo "compare $*" >> "$FAKE_LOG"; exit "${FAKE_COMPARE:-0}";;
trend) cp /dev/null "${@: -1}";;
esac
"""
COPIED = ("action.yml", "requirements.lock", "images/python/requirements.lock", "cluster/gomodule/go.sum",
          "cluster/caplab_cluster/versions.py", "images/cassandra/jars.sha256")  # fmt: skip


class Lab:
    """A checkout of a lab that runs nothing, and what its steps did."""

    def __init__(self, folder: Path) -> None:
        self.source, self.folder = folder / "lab", folder
        self.log = folder / "log"

    def nightly(self, event: str = "workflow_dispatch", **inputs: Any) -> Run:
        """The job of resilience.yml, with a workspace of its own and the caches of earlier ones."""
        number = len(list(self.folder.glob("workspace*")))
        own = {"PATH": os.environ["PATH"]}
        run = Run(
            source=self.source,
            workspace=self.folder / f"workspace{number}",
            store=self.folder / "store",
            event=event,
            env=own,
        )
        run_job(run, REPOSITORY / ".github" / "workflows" / "resilience.yml", "", inputs)
        return run

    def calls(self) -> list[str]:
        """What was made of the lab, in order."""
        return [line.split()[0] for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab = Lab(tmp_path)
    for name in COPIED:
        (lab.source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, lab.source / name)
    (lab.source / "Makefile").write_text(MAKEFILE)
    git = ["git", "-C", str(lab.source), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "lab"]):
        subprocess.run([*git, *arguments], check=True)
    suite = tmp_path / "suite"
    (suite / "01-redis-control").mkdir(parents=True)
    (suite / "01-redis-control" / "history.parquet").write_text("heavy")
    (suite / "verdict.json").write_text(json.dumps({"verdict": "valid", "suite": "smoke", "runs": []}))
    machine = {"cores": 2, "memory_bytes": 1 << 33, "load": 0.5}
    plan = {"suite": "smoke", "name": "smoke", "settings": {}, "repeat": 1, "machine": machine, "runs": []}
    (suite / "plan.json").write_text(json.dumps(plan))
    (suite / "summary.md").write_text("# Runs\n\nevery | run\n")
    for name, value in {"FAKE_CAPLAB": CAPLAB, "FAKE_LOG": str(lab.log), "FAKE_PYTHON": sys.executable,
                        "FAKE_SUITE": str(suite), "FAKE_NAME": "20261129-020000-smoke"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return lab


def test_a_valid_night_is_summed_up_kept_and_compared_with_the_next(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    first = lab.nightly(suite="smoke")
    assert (first.exit_code, first.failed) == (0, [])
    assert lab.calls() == ["up", "run", "down"]  # there was nothing to compare with
    assert "# smoke: AS PROMISED" in first.summary
    assert "there is no baseline yet" in first.summary
    monkeypatch.setenv("FAKE_NAME", "20261130-020000-smoke")
    second = lab.nightly(suite="smoke")
    assert lab.calls()[3:] == ["up", "run", "compare", "down"]
    assert "the failover of pg is slower" in second.summary
    assert "there is no baseline yet" not in second.summary  # each job has a summary of its own
    artifact = lab.folder / "store" / "artifacts" / "resilience-smoke-1-1"
    assert {"changes.md", "trend.html", "verdict.json", "01-redis-control"} <= {
        path.name for path in artifact.iterdir()
    }
    kept = lab.folder / "workspace1" / "baseline"
    assert sorted(path.name for path in kept.iterdir()) == ["20261129-020000-smoke", "20261130-020000-smoke"]
    assert not list(kept.rglob("history.parquet"))


@pytest.mark.parametrize(
    ("run_code", "exit_code", "says", "kept"),
    [
        (1, 1, "PROMISE BROKEN", False),
        (2, 2, "NOT PROVEN", True),
        (3, 3, "LAB FAILED", False),
    ],
)
def test_what_is_not_valid_is_told_apart(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], run_code: int, exit_code: int,
    says: str, kept: bool,
) -> None:  # fmt: skip
    monkeypatch.setenv("FAKE_RUN", str(run_code))
    run = lab.nightly(suite="smoke")
    assert run.exit_code == exit_code
    assert f"# smoke: {says}" in run.summary
    assert lab.calls()[-1] == "down"
    assert "::error title=caplab%3A" in capfd.readouterr().out
    assert (lab.folder / "workspace0" / "baseline").exists() is kept


def test_a_regression_fails_the_job_and_stays_out_of_the_baseline_unless_it_is_accepted(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.nightly(suite="smoke")
    monkeypatch.setenv("FAKE_COMPARE", "1")
    monkeypatch.setenv("FAKE_NAME", "20261130-020000-smoke")
    worse = lab.nightly(suite="smoke")
    assert worse.exit_code == 1
    assert "# smoke: REGRESSED" in worse.summary
    assert [path.name for path in (lab.folder / "workspace1" / "baseline").iterdir()] == ["20261129-020000-smoke"]
    accepted = lab.nightly(suite="smoke", accept=True)
    assert accepted.exit_code == 1
    assert len(list((lab.folder / "workspace2" / "baseline").iterdir())) == 2


def test_no_baseline_is_taken_for_that_of_another_suite_or_call(lab: Lab) -> None:
    """One name begins as the other, and all are of one run of a workflow, which calls this one several times."""
    calls = (
        {"suite": "postgres/kill-primary-ahead"},
        {"suite": "postgres/kill-primary"},
        {"suite": "postgres/kill-primary", "name": "slow-disks"},
    )
    for inputs in calls:
        run = lab.nightly("workflow_call", **inputs)
        assert run.exit_code == 0
        assert "there is no baseline yet" in run.summary
    names = {path.name for path in (lab.folder / "store" / "artifacts").iterdir()}
    assert names == {
        "resilience-postgres.kill-primary-ahead-1-1",
        "resilience-postgres.kill-primary-1-1",
        "resilience-slow-disks-1-1",
    }
    assert "there is no baseline yet" not in lab.nightly(suite="postgres/kill-primary").summary


def test_a_lab_that_does_not_come_up_is_the_labs_failure_and_is_removed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_UP", "2")
    run = lab.nightly(suite="smoke")
    assert run.exit_code == 3
    assert lab.calls() == ["up", "down"]
    assert "# smoke: LAB FAILED" in run.summary


@pytest.mark.parametrize("code", ["0", "3"])
def test_a_suite_that_never_began_has_no_folder_and_is_the_labs_failure(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setenv("FAKE_SUITE", "")
    monkeypatch.setenv("FAKE_RUN", code)
    run = lab.nightly(suite="smoke")
    assert run.exit_code == 3
    assert lab.calls() == ["up", "run", "down"]


def test_what_does_not_exist_is_refused_before_a_cluster_is_made(lab: Lab) -> None:
    assert lab.nightly(suite="smokey").exit_code == 3
    assert lab.calls() == []


def test_an_input_is_data_and_no_command(lab: Lab) -> None:
    run = lab.nightly(suite='"; touch "$GITHUB_WORKSPACE/done"; "')
    assert run.exit_code == 3
    assert not (lab.folder / "workspace0" / "done").exists()


def test_on_a_schedule_there_are_no_inputs_and_it_is_core(lab: Lab) -> None:
    run = Run(
        source=lab.source,
        workspace=lab.folder / "w",
        store=lab.folder / "store",
        event="schedule",
        env={"PATH": os.environ["PATH"]},
    )
    run_job(run, REPOSITORY / ".github" / "workflows" / "resilience.yml", "", {})
    assert run.exit_code == 0
    assert "# core: AS PROMISED" in run.summary


def test_a_workflow_with_what_is_not_known_here_is_refused(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "w.yml"
    for step, says in (
        ({"uses": "actions/checkout@v4"}, "not pinned"),
        ({"uses": f"some/body@{'0' * 40}"}, "not known"),
    ):
        file.write_text(json.dumps({"on": {"workflow_dispatch": None}, "jobs": {"x": {"steps": [step]}}}))
        with pytest.raises(Refused, match=says):
            run_job(Run(source=lab.source, workspace=tmp_path / "w", store=tmp_path / "s"), file, "", {})
    with pytest.raises(Refused, match="no input 'nothing'"):
        lab.nightly(nothing="1")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("inputs.suite || 'core'", "core"),
        ("inputs.repeat == 1 && 'once'", "once"),
        ("!contains(steps.lab.outputs.outcome, 'failed')", True),
        ("(inputs.accept || inputs.suite) != ''", False),
        ("format('own/{0}', 'it''s')", "own/it's"),
    ],
)
def test_expressions_are_worked_out_as_github_does(text: str, value: Any) -> None:
    contexts = {"inputs": {"suite": "", "repeat": 1, "accept": ""}, "steps": {"lab": {"outputs": {}}}}
    assert evaluate(text, Scope(contexts)) == value


def test_a_step_runs_after_a_failure_only_if_it_asks_how_things_are() -> None:
    assert holds("success()", Scope({}))
    assert not holds("'x' == 'x'", Scope({}, failed=True))
    assert holds("always() && 'x' == 'x'", Scope({}, failed=True))
    assert filled("a ${{ 'b' }} c", Scope({})) == "a b c"
    for text in ("fromJSON('1')", "secrets.x", "'a' 'b'", "('a'", "a +"):
        with pytest.raises(NotKnown):
            evaluate(text, Scope({"a": {}}))


@pytest.fixture(scope="module")
def linter() -> Path:
    if not shutil.which("go"):
        pytest.skip("actionlint is built with Go, which is not here; make lint fetches it")
    return actionlint(Cache.from_environment())


def test_actionlint_finds_nothing_wrong(linter: Path) -> None:
    assert every_problem(linter) == []


def test_what_is_wrong_in_a_workflow_or_in_the_actions_steps_is_seen(linter: Path, tmp_path: Path) -> None:
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    workflow = WORKFLOWS[0].read_text().replace("inputs.suite ||", "inputs.sweet ||", 1)
    (tmp_path / ".github" / "workflows" / "x.yml").write_text(workflow)
    (tmp_path / "action.yml").write_text(ACTION.read_text().replace("steps.up.outputs", "steps.upp.outputs"))
    problems = "\n".join(every_problem(linter, tmp_path))
    assert 'property "sweet" is not defined' in problems
    assert 'property "upp" is not defined' in problems


@pytest.mark.parametrize("ends", ["exit 3", "exit 1", "kill -9 $$", "echo wrong"])
def test_a_linter_that_fails_has_not_found_that_nothing_is_wrong(tmp_path: Path, ends: str) -> None:
    program = tmp_path / "actionlint"
    program.write_text(f"#!/bin/sh\n{ends}\n")
    program.chmod(0o700)
    with pytest.raises(Failure, match="actionlint ended with"):
        every_problem(program)


def test_actionlint_is_pinned() -> None:
    assert f"require github.com/rhysd/actionlint v{versions.ACTIONLINT}\n" in (MODULE / "go.mod").read_text()


def wrong(workflow: dict[Any, Any]) -> Iterator[str]:
    """What of a workflow breaks the rules of this repository."""
    if workflow.get("permissions") != {"contents": "read"}:
        yield "permissions"
    if {"pull_request_target", "workflow_run"} & set(workflow.get(True) or ()):  # True: what YAML makes of `on`
        yield "what others propose would run with this repository's rights"
    for name, job in workflow["jobs"].items():
        if "permissions" in job:
            yield f"{name}: permissions of its own"
        if not job.get("timeout-minutes"):
            yield f"{name}: no time-out"
        yield from wrong_steps(job["steps"])


def wrong_steps(steps: list[dict[str, Any]]) -> Iterator[str]:
    for step in steps:
        uses = step.get("uses", "./")
        if not uses.startswith("./") and not re.fullmatch(r"actions/[\w/-]+@[0-9a-f]{40}", uses):
            yield f"{uses}: not pinned by its commit"
        if "actions/checkout@" in uses and step["with"]["persist-credentials"] is not False:
            yield f"{uses}: leaves the token behind"
        if "${{" in step.get("run", ""):
            yield "an expression in a script: its value would be read as a command"


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflows_are_pinned_bounded_and_have_least_rights(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    assert list(wrong(workflow)) == []
    assert "concurrency" in workflow or all("concurrency" in job for job in workflow["jobs"].values())
    for pinned in re.findall(r"uses: [^.\s]\S*@\S+(.*)", file.read_text()):
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", pinned)


def test_the_actions_steps_are_pinned_and_hold_no_expression_in_a_script() -> None:
    assert list(wrong_steps(yaml.safe_load(ACTION.read_text())["runs"]["steps"])) == []


def test_what_breaks_those_rules_is_seen() -> None:
    steps = [{"uses": "actions/checkout@v4", "with": {"persist-credentials": True}}, {"run": "echo ${{ inputs.x }}"}]
    assert len(list(wrong({"permissions": "write-all", "jobs": {"x": {"steps": steps}}}))) == 5
    job = {"steps": [], "permissions": {"contents": "write"}, "timeout-minutes": 5}
    unsafe = {True: {"pull_request_target": None}, "permissions": {"contents": "read"}, "jobs": {"x": job}}
    assert len(list(wrong(unsafe))) == 2


def test_the_schedule_is_off_the_full_hour() -> None:
    on = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "resilience.yml").read_text())[True]
    for entry in (*on["schedule"], *GITHUB[True]["schedule"]):
        assert int(entry["cron"].split()[0]) % 15 != 0


def test_the_call_that_is_shown_fits_the_workflow() -> None:
    on = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "resilience.yml").read_text())[True]
    (job,) = GITHUB["jobs"].values()
    assert job["with"].keys() <= on["workflow_call"]["inputs"].keys()
    assert job["uses"].split("@")[1] == job["with"]["lab-ref"]


def gitlab_script() -> str:
    lines = [
        f"export {name}='{value}'" for name, value in GITLAB["resilience"]["variables"].items() if "$" not in value
    ]
    return "\n".join(["set -e", *lines, "export SUITE=smoke", *GITLAB["resilience"]["script"]])


def jenkins_script() -> str:
    (script,) = re.findall(r"'''#!/bin/bash\n(.*?)'''", JENKINS, re.DOTALL)
    return f"export SUITE=smoke REPEAT=1\n{script}"


@pytest.mark.parametrize("script", [gitlab_script, jenkins_script])
def test_the_other_pipelines_that_are_shown_work(lab: Lab, monkeypatch: pytest.MonkeyPatch, script: Any) -> None:
    def run() -> int:
        shutil.rmtree(lab.source / "results", ignore_errors=True)
        ended = subprocess.run(["bash", "-c", script()], cwd=lab.source, timeout=120, check=False)
        return ended.returncode

    assert run() == 0
    monkeypatch.setenv("FAKE_NAME", "20261130-020000-smoke")
    monkeypatch.setenv("FAKE_RUN", "2")
    assert run() == 2
    page = (lab.source / "resilience.md").read_text()
    assert "# smoke: NOT PROVEN" in page
    assert "the failover of pg is slower" in page
    assert len(list((lab.source / "baseline").iterdir())) == 2
    monkeypatch.setenv("FAKE_UP", "1")
    assert run() == 3
    assert lab.calls() == ["up", "run", "up", "run", "compare", "up"]
    assert len(list((lab.source / "baseline").iterdir())) == 2


@pytest.mark.parametrize("name", ["MINUTES", "VALUES"])
def test_an_input_that_is_refused_gives_the_runner_no_command(tmp_path: Path, name: str) -> None:
    (step,) = (step for step in yaml.safe_load(ACTION.read_text())["runs"]["steps"] if step.get("id") == "check")
    caplab = tmp_path / ".venv" / "bin" / "caplab"
    caplab.parent.mkdir(parents=True)
    caplab.write_text("#!/bin/sh\n")
    caplab.chmod(0o755)
    given = {"SUITE": "core", "REPEAT": "1", "SETTINGS": "", "VALUES": "", "FAIL_ON": "none", "MINUTES": "9"}
    env = {**os.environ, **given, "GITHUB_WORKSPACE": str(tmp_path), name: "1\n::add-mask::core\n::warning::mine"}
    done = subprocess.run(["bash", "-eo", "pipefail", "-c", step["run"]], cwd=tmp_path, env=env,
                          capture_output=True, text=True, timeout=30, check=False)  # fmt: skip
    assert done.returncode == 3
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"::error::{name.lower()}")


def test_an_input_that_is_none_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(WORKFLOWS[0]), "--input", "suite"])
    assert "--input takes NAME=VALUE, not 'suite'" in capsys.readouterr().err
