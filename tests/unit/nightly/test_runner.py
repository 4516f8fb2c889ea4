"""A night in the cluster: run, compared, kept, pruned and told; and a runner that was killed before it."""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import fsspec
import pytest
from support.objects.fake_objects import FakeObjects
from support.runs.suite_results import series, write

from caplab.command_error import CommandError
from caplab.model.fields import FieldError
from caplab.nightly import folders, leftovers, notify, runner
from caplab.nightly.folders import Bounds
from caplab.nightly.report import INTERRUPTED, REPORT, UNDER_WAY, Report, UnderWay
from caplab.nightly.runner import Night, run_night
from caplab.nightly.store import Store, of_folder, opened
from caplab.run_lease import LeaseNotHeld

CAPLAB = """\
import json, os, pathlib, sys, time
command, arguments = sys.argv[1], sys.argv[2:]
if command == "run":
    results = pathlib.Path(arguments[arguments.index("--results") + 1])
    folder = results / os.environ["FAKE_NAME"]
    (folder / "01-x").mkdir(parents=True)
    (folder / "01-x" / "history.parquet").write_text("heavy")
    print("begun", flush=True)
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
    plan = {"suite": "smoke", "name": "smoke", "settings": {}, "repeat": 1, "runs": [],
            "machine": {"cores": 2, "memory_bytes": 1 << 33, "load": 0.5}}
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "summary.md").write_text("# Runs\\n")
    (folder / "arguments").write_text(" ".join(arguments))
    (folder / "environment").write_text("\\n".join(os.environ))
    if broken := os.environ.get("FAKE_BROKEN"):
        (folder / broken).write_text("[]")
    sys.exit(int(os.environ.get("FAKE_RUN", "0")))
if command == "compare":
    print("the failover of pg is slower")
    sys.exit(int(os.environ.get("FAKE_COMPARE", "0")))
pathlib.Path(arguments[-1]).write_text("<html></html>")
"""


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    script = tmp_path / "caplab.py"
    script.write_text(CAPLAB)
    monkeypatch.setattr(runner, "_CAPLAB", (sys.executable, str(script)))
    monkeypatch.setenv("FAKE_NAME", folder_name(0))
    return Night(
        suite="smoke", settings={"rate": "10"}, namespace="caplab-nightly", results=tmp_path / "results",
        fail_on="invalid,failed,regressed", seconds=60.0, runner="pod-1", job="job-1",
    )  # fmt: skip


def folder_name(days: float) -> str:
    """A suite that begins after the night does: a runner takes seconds to start on a busy machine."""
    begun = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days, minutes=1)
    return f"{begun:%Y%m%d-%H%M%S}-smoke"


def nothing(*_: Any) -> list[str]:
    raise AssertionError("nothing was left, so nothing is to be cleared")


def made(night: Night, clear: Any = nothing) -> tuple[int, list[str]]:
    lines: list[str] = []
    return run_night(night, clear, lines.append), lines


def report_of(night: Night, name: str) -> Report:
    return Report.from_json(name, (night.results / name / REPORT).read_bytes())


def test_a_night_is_run_kept_and_compared_with_the_next(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    first = os.environ["FAKE_NAME"]
    assert made(night)[0] == 0
    assert "--set=rate=10 --set=namespace=caplab-nightly" in (night.results / first / "arguments").read_text()
    assert report_of(night, first).outcome == "valid"
    assert report_of(night, first).compare_code == -1
    assert not (night.results / UNDER_WAY).exists()
    monkeypatch.setenv("FAKE_NAME", second := folder_name(1))
    monkeypatch.setenv("FAKE_COMPARE", "1")
    code, lines = made(night)
    assert code == 1
    assert lines[-1].startswith("caplab: regression")
    assert "the failover of pg is slower" in (night.results / second / "nightly.md").read_text()
    assert (night.results / second / "trend.html").exists()
    assert [folder.name for folder in (night.results / "baseline").iterdir()] == [first]  # it is no measure
    assert not list((night.results / "baseline").rglob("history.parquet"))


def test_what_is_over_the_bounds_goes_once_the_night_is_kept(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in (-3, -2, 0):
        monkeypatch.setenv("FAKE_NAME", folder_name(days))
        made(replace(night, bounds=Bounds(age=datetime.timedelta(days=2, hours=1))))
    assert [suite.path.name[-5:] for suite in of_folder(night.results).suites()] == ["smoke"] * 2


def test_a_suite_that_takes_too_long_is_told_to_end_and_the_night_has_failed(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "60")
    code, lines = made(replace(night, seconds=1.0))
    assert code == 3
    assert "told to end: it took over" in "\n".join(lines)
    assert report_of(night, _only(night)).outcome == "failed"


def _only(night: Night) -> str:
    (suite,) = of_folder(night.results).suites()
    return suite.path.name


@pytest.mark.parametrize("code", [0, 3])
def test_a_night_that_left_no_folder_has_failed_and_has_one_with_its_report(
    night: Night, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(runner, "_CAPLAB", (sys.executable, "-c", f"raise SystemExit({code})"))
    assert made(night)[0] == 3
    assert report_of(night, _only(night)).outcome == "failed"


def killed(night: Night, tmp_path: Path) -> None:
    """A runner that is killed, with its suite, in the midst of it."""
    script = (
        "import sys; from pathlib import Path; from caplab.nightly import runner; from caplab.nightly.runner import *\n"
        f"runner._CAPLAB = {runner._CAPLAB!r}\n"
        f"run_night(Night(suite='smoke', namespace='n', results=Path({str(night.results)!r}), fail_on='none', "
        "seconds=60.0, runner='pod-0', job='job-0'), lambda *_: [], print)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "FAKE_NAME": folder_name(0.01)},  # however long it takes to begin
    )  # fmt: skip
    assert process.stdout
    while "begun" not in process.stdout.readline():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_a_killed_runner_is_reported_the_next_time_and_what_it_left_is_cleared(
    night: Night, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "60")
    killed(night, tmp_path)
    broken = _only(night)
    assert (night.results / UNDER_WAY).exists()
    assert not (night.results / broken / REPORT).exists()
    monkeypatch.setenv("FAKE_SECONDS", "0")
    monkeypatch.setenv("FAKE_NAME", folder_name(1))
    asked = []

    def clear(namespace: str, why: str) -> list[str]:
        asked.append(namespace)
        return [f"PostgresCluster {namespace}/pg was removed"]

    code, lines = made(night, clear)
    assert (code, asked) == (0, ["caplab-nightly"])
    report = report_of(night, broken)
    assert (report.outcome, report.runner) == (INTERRUPTED, "pod-0")
    assert "PostgresCluster caplab-nightly/pg was removed" in report.notes
    (note,) = report_of(night, _newest(night)).notes
    assert "was interrupted: its runner pod-0 ended without a report" in note
    assert note in lines
    assert "was interrupted" in (night.results / _newest(night) / "nightly.md").read_text()


def _newest(night: Night) -> str:
    return of_folder(night.results).suites()[-1].path.name


def test_the_next_pod_of_the_same_job_only_clears_up_and_the_next_night_still_says_so(
    night: Night, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "60")
    killed(night, tmp_path)
    monkeypatch.setenv("FAKE_SECONDS", "0")
    assert made(replace(night, job="job-0", runner="pod-2"), lambda *_: ["cleared"])[0] == 3
    assert len(of_folder(night.results).suites()) == 1
    assert not (night.results / UNDER_WAY).exists()
    monkeypatch.setenv("FAKE_NAME", folder_name(1))
    assert made(night)[0] == 0
    (note,) = report_of(night, _newest(night)).notes
    assert "The night before" in note
    monkeypatch.setenv("FAKE_NAME", folder_name(2))
    made(night)
    assert report_of(night, _newest(night)).notes == ()


def test_a_note_that_cannot_be_read_stands_for_a_night_of_which_nothing_is_known(night: Night) -> None:
    night.results.mkdir()
    (night.results / UNDER_WAY).write_text("{")
    code, lines = made(night, lambda *_: [])
    assert code == 0
    assert "its runner unknown ended without a report" in lines[0]


def test_what_cannot_be_cleared_is_reported_and_the_night_goes_on(night: Night) -> None:
    def silent(*_: Any) -> list[str]:
        raise OSError("the API server does not answer")

    night.results.mkdir()
    began = "2026-11-28T02:23:00+00:00"
    (night.results / UNDER_WAY).write_bytes(UnderWay(suite="smoke", began=began, runner="r", job="j").to_json())
    code, lines = made(night, silent)
    assert code == 0
    assert "What it left could not be removed: the API server does not answer" in lines
    assert report_of(night, "20261128-022300-smoke").outcome == INTERRUPTED


@pytest.mark.parametrize("began", ["", "yesterday", "2026-11-28", "2026-11-28T02:23:00"])
def test_a_note_without_a_moment_is_one_that_cannot_be_read(night: Night, began: str) -> None:
    night.results.mkdir()
    note = UnderWay(suite="smoke", began=began, runner="r", job="j").to_json()
    (night.results / UNDER_WAY).write_bytes(note)
    with pytest.raises(FieldError, match="began"):
        UnderWay.from_json("x", note)
    assert made(night, lambda *_: [])[0] == 0


def test_a_note_of_a_night_by_no_job_is_read() -> None:
    note = UnderWay(suite="smoke", began="2026-11-28T02:23:00+00:00", runner="r", job="")
    assert UnderWay.from_json("x", note.to_json()) == note


def test_a_night_that_is_still_under_way_is_not_called_interrupted(night: Night, listener: Listener) -> None:
    """Somebody begins a Job by hand: the cluster says that the other one's run is alive."""
    night.results.mkdir()
    note = UnderWay(suite="smoke", began="2026-11-28T02:23:00+00:00", runner="pod-0", job="job-0").to_json()
    (night.results / UNDER_WAY).write_bytes(note)

    def held(*_: str) -> list[str]:
        raise LeaseNotHeld("The run r-2 is under way in caplab-nightly.")

    with pytest.raises(CommandError, match="pod-0 may still be under way: The run r-2 is under way"):
        made(replace(night, webhook=listener.url), held)
    assert (night.results / UNDER_WAY).read_bytes() == note
    assert of_folder(night.results).suites() == []
    ((_, message),) = listener.bodies
    assert message["outcome"] == "failed"


def test_a_note_of_another_night_is_left(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two began in the same second, and neither saw the other's note."""
    other = UnderWay(suite="smoke", began="2026-11-28T02:23:00+00:00", runner="pod-9", job="job-9").to_json()
    compare = runner._compare

    def meanwhile(*arguments: Any) -> int | None:
        (night.results / UNDER_WAY).write_bytes(other)
        return compare(*arguments)

    monkeypatch.setattr(runner, "_compare", meanwhile)
    made(night)
    assert (night.results / UNDER_WAY).read_bytes() == other


def test_a_night_whose_report_is_there_was_not_interrupted(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "remove", lambda *_: None)  # it is killed just before its note goes
    made(night)
    assert (night.results / UNDER_WAY).exists()
    monkeypatch.undo()
    assert made(night)[0] == 3  # the next pod of its Job runs nothing
    assert report_of(night, _only(night)).outcome == "valid"
    assert not (night.results / UNDER_WAY).exists()


def test_results_that_cannot_be_kept_are_told(
    night: Night, monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "write", full)
    with pytest.raises(OSError, match="No space left"):
        made(replace(night, webhook=listener.url))
    ((_, message),) = listener.bodies
    assert message["notes"] == ["The night could not be finished: [Errno 28] No space left on device"]


def test_what_is_over_the_bounds_goes_before_a_night_too(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    old = night.results / "20200101-000000-smoke"
    for folder in (old, night.results / "20200102-000000-smoke"):
        folder.mkdir(parents=True)
        (folder / "summary.md").write_text("x")

    def begun(*_: Any) -> Any:
        assert not old.exists()
        raise OSError("enough is seen")

    monkeypatch.setattr(runner, "_suite", begun)
    with pytest.raises(OSError, match="enough"):
        made(replace(night, bounds=Bounds(age=datetime.timedelta(days=1))))


def test_what_cannot_be_pruned_costs_no_night(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = Store.remove

    def refuse(store: Store, name: str) -> None:
        if name != UNDER_WAY:
            raise OSError("it is busy")
        remove(store, name)

    for name in ("20200101-000000-smoke", "20200102-000000-smoke"):
        (night.results / name).mkdir(parents=True)
        (night.results / name / "summary.md").write_text("x")
    monkeypatch.setattr(Store, "remove", refuse)
    code, lines = made(replace(night, bounds=Bounds(age=datetime.timedelta(days=1))))
    assert code == 0
    assert "note: not everything was pruned: it is busy" in lines
    assert not (night.results / UNDER_WAY).exists()


@pytest.mark.parametrize("file", ["verdict.json", "plan.json"])
def test_a_folder_that_is_half_written_has_its_page_and_report(
    night: Night, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setenv("FAKE_RUN", "3")
    monkeypatch.setenv("FAKE_BROKEN", file)
    folder = night.results / os.environ["FAKE_NAME"]
    assert made(night)[0] == 3
    assert report_of(night, folder.name).outcome == "failed"
    page = (folder / "nightly.md").read_text()
    assert "every run" in page
    assert ("A part of this page is missing: verdict.json" in page) is (file == "verdict.json")


def test_a_suite_sees_no_keys_and_no_addresses_of_others(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("CAPLAB_WEBHOOK_URL", "CAPLAB_ALERTMANAGER_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    for name in secrets:
        monkeypatch.setenv(name, "secret")
    made(night)
    environment = (night.results / os.environ["FAKE_NAME"] / "environment").read_text().splitlines()
    assert "FAKE_NAME" in environment
    assert not set(secrets) & set(environment)


@pytest.mark.parametrize("bad", ["FAKE_RUN", "FAKE_COMPARE"])
def test_what_is_invalid_or_worse_is_no_baseline_unless_it_is_accepted(
    night: Night, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    made(night)
    monkeypatch.setenv(bad, "1")
    monkeypatch.setenv("FAKE_NAME", folder_name(1))
    made(night)
    baseline = night.results / "baseline"
    assert len(list(baseline.iterdir())) == 1
    monkeypatch.setenv("FAKE_NAME", folder_name(2))
    made(replace(night, accept=True))
    assert len(list(baseline.iterdir())) == 2


def test_the_first_night_is_no_baseline_where_it_is_invalid(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_RUN", "1")
    made(night)
    assert not (night.results / "baseline").exists()
    assert (night.results / os.environ["FAKE_NAME"] / "trend.html").exists()


def test_a_copy_that_was_interrupted_is_no_suite_and_goes(night: Night) -> None:
    draft = night.results / "baseline" / ".20200101-000000-smoke.part"
    draft.mkdir(parents=True)
    assert folders.suites(draft.parent) == []
    made(night)
    assert [folder.name for folder in draft.parent.iterdir()] == [os.environ["FAKE_NAME"]]


def test_no_key_of_a_bucket_leads_out_of_the_folder_that_it_is_brought_to(tmp_path: Path) -> None:
    class Files:
        def exists(self, _: str) -> bool:
            return True

        def find(self, _: str) -> list[str]:
            return ["nights/baseline/../../evil"]

        def cat_file(self, _: str) -> bytes:
            return b"evil"

    with pytest.raises(OSError, match="is not a file's name"):
        Store(Files(), "nights").pull("baseline", tmp_path / "results" / "baseline")
    assert not (tmp_path / "evil").exists()


def test_a_note_that_cannot_be_written_ends_the_night_before_a_run(night: Night, tmp_path: Path) -> None:
    night.results.write_text("a file")
    with pytest.raises(OSError, match=r"."):
        made(night)


def test_with_a_bucket_the_night_is_brought_there_and_the_baseline_from_there(
    night: Night, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bucket = Store(fsspec.filesystem("memory"), f"/bucket-{tmp_path.name}")
    monkeypatch.setattr(runner, "opened", lambda url: bucket)
    night = replace(night, bucket="s3://nights", keep_last=1)
    for day in range(3):
        monkeypatch.setenv("FAKE_NAME", name := folder_name(day))
        local = replace(night, results=tmp_path / f"results{day}")  # a pod's own volume is empty
        assert made(local)[0] == 0
        assert REPORT in bucket.names(name)
    assert len(bucket.suites()) == 3
    kept = {path.split("/baseline/")[1].split("/")[0] for path in bucket.files.find(f"{bucket.root}/baseline")}
    assert kept == {name}
    assert report_of(local, name).compare_code == 0


@pytest.mark.parametrize("url", ["http://bucket", "s3://", "s3://a/../b", "/results"])
def test_an_address_that_is_no_buckets_is_refused(url: str) -> None:
    with pytest.raises(FieldError, match="Hint: write it as s3://BUCKET/PREFIX"):
        opened(url, {})


def test_an_endpoint_without_a_scheme_is_refused() -> None:
    with pytest.raises(FieldError, match="https://HOST:PORT"):
        opened("s3://nights", {"CAPLAB_S3_ENDPOINT": "minio:9000"})
    assert opened("s3://nights/lab/", {"CAPLAB_S3_ENDPOINT": "http://127.0.0.1:1"}).root == "nights/lab"


@pytest.mark.parametrize("name", ["", "../x", "/x", "a/../../x"])
def test_no_name_leads_out_of_a_store(tmp_path: Path, name: str) -> None:
    store = of_folder(tmp_path)
    with pytest.raises(FieldError):
        store.read(name, 1)
    with pytest.raises(FieldError):
        store.remove(name)


class Listener:
    """Takes what it is sent; answers with a status."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, Any]] = []
        self.status = 200
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                listener.bodies.append((self.path, json.loads(content)))
                self.send_response(listener.status)
                self.send_header("Location", f"{listener.url}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def listener() -> Iterator[Listener]:
    made_one = Listener()
    thread = Thread(target=made_one.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made_one
    made_one.server.shutdown()
    made_one.server.server_close()


def test_what_fails_is_told_and_what_is_valid_only_where_that_is_asked_for(
    night: Night, monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    night = replace(night, webhook=f"{listener.url}/hook/secret", alertmanager=f"{listener.url}/")
    made(night)
    assert listener.bodies == []
    monkeypatch.setenv("FAKE_NAME", folder_name(1))
    monkeypatch.setenv("FAKE_RUN", "1")
    made(night)
    (_, message), (path, (alert,)) = listener.bodies
    assert message["text"].startswith("caplab smoke: invalid (")
    assert path == "/api/v2/alerts"
    assert alert["labels"] == {
        "alertname": "CaplabNightly", "suite": "smoke", "outcome": "invalid", "severity": "warning",
    }  # fmt: skip


@pytest.mark.parametrize(("status", "says"), [(500, "it answered 500"), (302, "it answered 302")])
def test_who_does_not_take_it_changes_nothing_and_its_address_is_not_shown(
    night: Night, monkeypatch: pytest.MonkeyPatch, listener: Listener, status: int, says: str
) -> None:
    listener.status = status
    monkeypatch.setenv("FAKE_RUN", "1")
    code, lines = made(replace(night, webhook=f"{listener.url}/hook/secret"))
    assert code == 1
    assert f"note: The report to the webhook failed: {says}." in lines
    assert "secret" not in "\n".join(lines)
    assert [path for path, _ in listener.bodies] == ["/hook/secret"]  # no redirect is followed


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "file:///etc/passwd", "http://[", "gopher://x"])
def test_an_address_that_is_of_no_use_is_said(url: str) -> None:
    report = Report(suite="s", began="b", ended="e", runner="r", outcome="invalid")
    (sentence,) = notify.send(url, "", report, "folder")
    assert sentence.startswith("The report to the webhook failed: it")


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> FakeObjects:
    fake = FakeObjects()
    monkeypatch.setattr(leftovers, "_LEASE_SECONDS", 0.0)
    monkeypatch.setattr(leftovers, "_GONE_SECONDS", 0.0)
    return fake


class FakeLeases:
    holder = ""

    def lease(self, *_: str) -> tuple[str, str, str]:
        return FakeLeases.holder, "now", "1"

    def write_lease(self, _namespace: str, _name: str, holder: str, _version: str) -> None:
        FakeLeases.holder = holder

    def delete_lease(self, *_: str) -> None:
        FakeLeases.holder = ""


def test_what_a_dead_run_left_goes_and_what_others_made_stays(
    objects: FakeObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "Leases", lambda _: FakeLeases())
    objects.put("PostgresCluster", "orders")
    objects.put_of_run("PostgresCluster", "pg", "r-1")
    objects.put_of_run("Fault", "kill", "r-1")
    objects.put_of_run("Run", "r-1", "r-1", status={"phase": "Running", "startedAt": "2026"})
    objects.put_of_run("Run", "r-0", "r-0", status={"phase": "Done", "verdict": "valid"})
    sentences = leftovers.remove("ns", "it was killed", objects)
    assert sentences == [
        "Run ns/r-1 is marked as failed",
        "Fault ns/kill was removed",
        "PostgresCluster ns/pg was removed",
    ]
    assert objects.names("PostgresCluster") == ["orders"]
    statuses = {name: objects.there["runs", "ns", name]["status"] for name in ("r-0", "r-1")}
    assert statuses["r-0"] == {"phase": "Done", "verdict": "valid"}
    assert statuses["r-1"]["phase"] == "Failed"
    assert statuses["r-1"]["reasons"] == ["it was killed"]
    assert FakeLeases.holder == ""


def test_while_a_run_is_under_way_nothing_is_touched(objects: FakeObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "Leases", lambda _: FakeLeases())
    monkeypatch.setattr(FakeLeases, "holder", "r-2")
    objects.put_of_run("PostgresCluster", "pg", "r-1")
    with pytest.raises(LeaseNotHeld, match="The run r-2 is under way"):
        leftovers.remove("ns", "it was killed", objects)
    assert objects.names("PostgresCluster") == ["pg"]


def test_what_does_not_go_in_time_is_said(objects: FakeObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "Leases", lambda _: FakeLeases())
    monkeypatch.setattr(FakeLeases, "holder", "")
    monkeypatch.setattr(objects, "delete", lambda *_, **__: True)
    objects.put_of_run("Fault", "kill", "r-1")
    assert leftovers.remove("ns", "it was killed", objects) == ["Fault ns/kill is still there"]


def test_reports_are_read_as_they_were_written_and_others_are_refused() -> None:
    report = Report(suite="s", began="b", ended="e", runner="r", outcome="valid", notes=("n",))
    assert Report.from_json("x", report.to_json()) == report
    for content in (b"[]", b"{", b'{"suite": 1}', b"\xff"):
        with pytest.raises(FieldError):
            Report.from_json("x", content)
        with pytest.raises(FieldError):
            UnderWay.from_json("x", content)


def test_a_runner_that_is_told_to_end_lets_its_suite_end_and_says_so(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "60")

    def interrupt() -> None:
        while not of_folder(night.results).suites():
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    Thread(target=interrupt, daemon=True).start()
    code, lines = made(night)
    assert code == 3
    assert "The runner was told to end in the middle of the suite." in lines


def test_a_failover_that_became_slower_is_found_and_told_by_caplab_itself(
    night: Night, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing in between is faked but the runs: `caplab compare` and `caplab trend` are those that people call."""
    pytest.importorskip("scipy")  # it is in the runner's image, and not in the others
    usual, slow = [20.0 + 0.05 * (number % 7) for number in range(20)], 20.0 * 1.3
    for number, value in enumerate(usual):
        name = f"202611{number + 1:02d}-022300-smoke"
        write(night.results / "baseline" / name, series("failoverTime", [value], 24 * number))
    new = tmp_path / "suite"
    write(new, series("failoverTime", [slow + 0.05 * (number % 7) for number in range(10)], 24 * 25))
    machine = {"cores": 2, "memory_bytes": 1 << 33, "load": 0.5}
    plan = {"suite": "smoke", "name": "smoke", "settings": {}, "repeat": 10, "machine": machine, "runs": []}
    (new / "plan.json").write_text(json.dumps(plan))
    script = tmp_path / "wrapper.py"
    script.write_text(
        "import os, shutil, sys\n"
        "if sys.argv[1] != 'run': os.execv(sys.executable, [sys.executable, '-m', 'caplab', *sys.argv[1:]])\n"
        f"shutil.copytree({str(new)!r}, os.path.join({str(night.results)!r}, os.environ['FAKE_NAME']))\n"
    )
    monkeypatch.setattr(runner, "_CAPLAB", (sys.executable, str(script)))
    code, lines = made(night)
    assert (code, report_of(night, _newest(night)).outcome) == (1, "regressed"), lines
    text = (night.results / _newest(night) / "nightly.md").read_text()
    assert "regressed" in text.partition("## What changed")[2]
    assert "| quorum | kill-primary |" in text.partition("## CAP table")[2]
    assert (night.results / _newest(night) / "trend.html").stat().st_size > 1000
    assert len(list((night.results / "baseline").iterdir())) == 20


ODD_NOTES: dict[str, bytes] = {
    **{
        name: json.dumps(
            {"suite": "core", "began": "2026-11-29T01:00:00+00:00", "runner": "r", "job": "j", **fields}
        ).encode()
        for name, fields in {
            "far": {"began": "9999-12-31T23:59:59-23:59"},
            "early": {"began": "0001-01-01T00:00:00+23:00"},
            "long": {"suite": "a" * 300},
            "NUL": {"suite": "a\0b"},
            "half a letter": {"suite": "a\ud800", "runner": "\ud800r"},
            "control": {"suite": "a\x1b[2J\nb"},
            "nothing": {"suite": "x/"},
        }.items()
    },
    "too long": b"x" * (2 << 20),
}


@pytest.mark.parametrize("what", [*ODD_NOTES, "a folder", "a pipe", "a link"])
def test_no_note_keeps_the_nights_after_it_from_beginning(night: Night, what: str) -> None:
    night.results.mkdir(parents=True)
    file = night.results / UNDER_WAY
    if what in ODD_NOTES:
        file.write_bytes(ODD_NOTES[what])
    else:
        makers: dict[str, Callable[[], object]] = {
            "a folder": file.mkdir,
            "a pipe": lambda: os.mkfifo(file),
            "a link": lambda: file.symlink_to(file),
        }
        makers[what]()
    lines: list[str] = []
    assert run_night(night, lambda *_: [], lines.append) == 0
    assert not file.is_symlink()
    assert not file.exists()
    assert all(line.isprintable() for line in lines)
    outcomes = [report_of(night, suite.path.name).outcome for suite in folders.suites(night.results)]
    assert outcomes.count(INTERRUPTED) == 1


def test_a_suite_is_not_kept_where_it_lies_itself(night: Night) -> None:
    suite = night.results / folder_name(0)
    suite.mkdir(parents=True)
    (suite / "history.parquet").write_text("heavy")
    (night.results.parent / "link").symlink_to(night.results)
    for into in (night.results, night.results.parent / "link"):
        with pytest.raises(FieldError, match="Hint: name another folder for the baseline"):
            folders.add(suite, into)
    assert (suite / "history.parquet").read_text() == "heavy"


def test_links_and_pipes_of_a_suite_are_not_kept(night: Night, tmp_path: Path) -> None:
    suite = night.results / folder_name(0)
    suite.mkdir(parents=True)
    (suite / "round").symlink_to(night.results)
    (suite / "nowhere").symlink_to(tmp_path / "none")
    os.mkfifo(suite / "pipe")
    (suite / "verdict.json").write_text("{}")
    for _ in range(2):  # once more: what is there is replaced
        kept = folders.add(suite, tmp_path / "baseline")
        assert [file.name for file in kept.iterdir()] == ["verdict.json"]
        assert [folder.name for folder in (tmp_path / "baseline").iterdir()] == [suite.name]


def test_who_answers_a_letter_now_and_then_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    over = Event()

    class Dripping(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.flush_headers()
            while not over.wait(0.05):
                self.wfile.write(b"X-A: b\r\n")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Dripping)
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setattr(notify, "_SECONDS", 0.5)
    report = Report(suite="core", began="b", ended="e", runner="r", outcome="failed")
    began = time.monotonic()
    try:
        (sentence,) = notify.send(f"http://127.0.0.1:{server.server_port}/", "", report, "folder")
    finally:
        over.set()
        server.shutdown()
        server.server_close()
    assert sentence == "The report to the webhook failed: it has not answered within 0.5 s."
    assert time.monotonic() - began < 3
