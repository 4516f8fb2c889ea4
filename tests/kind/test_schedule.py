"""The chart's CronJob on the real cluster: nights begin by themselves and never overlap; a runner is killed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from caplab_cluster.chart import NAMESPACE, RELEASE
from caplab_cluster.kind_cluster import CONTEXT, CONTROL_PLANE
from caplab_cluster.paths import CHART
from caplab_cluster.shell import CommandResult, ask
from support.chart.rights_table import Right, difference, in_table, rights_of
from support.kind.kind_lab import Lab, wait_until
from support.kind.lab_state import gate_files

pytestmark = pytest.mark.alone
RUNS = "caplab-nightly"
JOBS = ("jobs", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=caplab-runner")
KILL_SECONDS = 60  # the fault's own time: it must be live when its runner dies
CLEARED_SECONDS = 240.0  # killed, seen, a second pod, 20 s until the dead hold is dead, the clusters gone
PAGE = "import sys, urllib.request as u; print(u.urlopen('http://127.0.0.1:8080' + sys.argv[1]).read().decode())"
REPORTS = (
    "import pathlib; files = sorted(pathlib.Path('/results').glob('2*/nightly.json'));"
    "print(*(file.read_text() for file in files), sep=',')"
)


def helm(lab: Lab, *arguments: str) -> CommandResult:
    flags = ["--kubeconfig", str(lab.cache.kubeconfig), "--kube-context", CONTEXT, "--namespace", NAMESPACE]
    return ask([lab.tools.helm, *arguments, *flags], timeout_seconds=180)


def upgrade(lab: Lab, values: dict[str, Any]) -> None:
    file = lab.cache.cluster / "schedule.json"  # JSON is YAML
    file.write_text(json.dumps(values))
    files = ["--values", str(lab.cache.cluster / "values.json"), "--values", str(file)]
    answer = helm(lab, "upgrade", RELEASE, str(CHART), *files, "--wait")
    assert answer.ok, answer.err


@pytest.fixture
def schedule(lab: Lab) -> Iterator[Callable[..., None]]:
    """Sets the schedule up; in the end the lab is as before, without volume and namespace."""
    yield lambda **values: upgrade(lab, {"schedule": {"enabled": True, **values}})
    lab.kubectl("delete", *JOBS, "--ignore-not-found", "--wait=true", timeout_seconds=300)
    upgrade(lab, {})
    lab.kubectl("delete", "pvc", "-n", NAMESPACE, "caplab-results", "--ignore-not-found", "--wait=true")
    wait_until("the runs' namespace is gone", lambda: RUNS not in lab.kubectl("get", "namespaces", "-o", "name"), 180)


def jobs(lab: Lab) -> list[dict[str, Any]]:
    items = lab.get(*JOBS)["items"]
    return sorted(items, key=lambda job: str(job["metadata"]["creationTimestamp"]))


def condition(job: dict[str, Any]) -> str:
    """Complete, Failed, or '' while it is under way."""
    for entry in job["status"].get("conditions") or ():
        if entry["status"] == "True" and entry["type"] in ("Complete", "Failed"):
            return str(entry["type"])
    return ""


def page(lab: Lab, path: str) -> str:
    """What the results' page shows at a path."""
    where = ["exec", "-n", NAMESPACE, "deployment/caplab-results", "--"]
    return lab.kubectl(*where, "python3", "-c", PAGE, path)


def reports(lab: Lab) -> list[dict[str, Any]]:
    """Each night's report, the oldest first."""
    where = ["exec", "-n", NAMESPACE, "deployment/caplab-results", "--"]
    nights: list[dict[str, Any]] = json.loads(f"[{lab.kubectl(*where, 'python3', '-c', REPORTS)}]")
    return nights


def of_runs(lab: Lab, kinds: str) -> str:
    return lab.kubectl("get", kinds, "-n", RUNS, "-o", "name").strip()


CLUSTERS = "postgresclusters,redisclusters,cassandraclusters"


def test_the_runner_may_do_what_the_page_says_and_no_more(lab: Lab, schedule: Callable[..., None]) -> None:
    schedule(suspend=True)

    def granted_rights(account: str, namespace: str) -> set[Right]:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
        asked = [*lab.kubectl_command(), "create", "--raw", path, "-f", "-", f"--as=system:serviceaccount:{account}"]
        answer = ask(asked, stdin=json.dumps(review))
        assert answer.ok, answer.err
        return rights_of(json.loads(answer.out)["status"]["resourceRules"])

    of_anybody = granted_rights("nowhere:nobody", "default")
    table = in_table((CHART.parents[1] / "docs" / "nightly.md").read_text())
    everywhere = table["caplab-runner", "everywhere"]
    for where, namespace in (("the lab's namespace", NAMESPACE), ("the runs' namespace", RUNS), ("", "default")):
        written = everywhere | table.get(("caplab-runner", where), set())
        assert difference(granted_rights(f"{NAMESPACE}:caplab-runner", namespace) - of_anybody, written) == "", (
            namespace
        )
        assert granted_rights(f"{NAMESPACE}:caplab-results", namespace) - of_anybody == set()


@pytest.mark.long
def test_nights_begin_by_themselves_and_never_overlap(lab: Lab, schedule: Callable[..., None]) -> None:
    """Every minute one is due, and each takes longer than that."""
    schedule(cron="* * * * *", suite="redis/control", settings={"seconds": "60"})
    most_at_once = 0

    def two_are_over() -> bool:
        nonlocal most_at_once
        all_jobs = jobs(lab)
        most_at_once = max(most_at_once, sum(not condition(job) for job in all_jobs))
        return sum(bool(condition(job)) for job in all_jobs) >= 2

    wait_until("two nights are over", two_are_over, 600)
    all_jobs = jobs(lab)
    assert [condition(job) for job in all_jobs[:2]] == ["Complete", "Complete"], all_jobs
    assert all(job["metadata"]["ownerReferences"][0]["kind"] == "CronJob" for job in all_jobs)
    assert most_at_once == 1
    events = lab.get("events", "-n", NAMESPACE, "--field-selector", "reason=JobAlreadyActive")["items"]
    assert "concurrency policy is Forbid" in events[0]["message"]
    latest = reports(lab)[:2]
    assert [report["outcome"] for report in latest] == ["valid", "valid"], latest
    assert 'class="valid">valid<' in page(lab, "/")
    runs = lab.get("runs", "-n", RUNS)["items"]
    assert sum(run["status"]["phase"] == "Done" for run in runs) >= 2


@pytest.mark.long
def test_a_killed_runner_leaves_nothing_for_long_and_is_reported(lab: Lab, schedule: Callable[..., None]) -> None:
    schedule(suspend=True, suite="redis/kill-primary", settings={"seconds": str(KILL_SECONDS)})
    start(lab, "killed")
    wait_until("the fault is live", lambda: "Active" in phases(lab), 240)
    lab.engine.must("exec", CONTROL_PLANE, "pkill", "-KILL", "-f", "caplab nightly run")
    took = wait_until("its clusters are gone", lambda: not of_runs(lab, CLUSTERS), CLEARED_SECONDS)
    wait_until("its Job has failed", lambda: condition(jobs(lab)[0]) == "Failed", 60)
    print(f"\nafter the runner's death: no cluster, fault and load of it is left after {took:.1f} s")
    assert of_runs(lab, "faults,probes") == ""
    assert gate_files(lab) == []
    (run,) = lab.get("runs", "-n", RUNS)["items"]
    assert run["status"]["phase"] == "Failed"
    assert "was interrupted" in run["status"]["reasons"][0]
    (report,) = reports(lab)
    assert report["outcome"] == "interrupted"
    assert 'class="bad">interrupted<' in page(lab, "/")
    start(lab, "next")
    wait_until("the next night is over", lambda: bool(condition(jobs(lab)[1])), 300)
    assert condition(jobs(lab)[1]) == "Complete"
    report = reports(lab)[1]
    assert report["outcome"] == "valid"
    assert "was interrupted" in report["notes"][0]
    assert of_runs(lab, CLUSTERS) == ""


def phases(lab: Lab) -> str:
    return lab.kubectl("get", "faults", "-n", RUNS, "-o", "jsonpath={.items[*].status.phase}")


def start(lab: Lab, name: str) -> None:
    """A night now, as the CronJob would begin it."""
    lab.kubectl("create", "job", "-n", NAMESPACE, f"caplab-{name}", "--from=cronjob/caplab-nightly")
