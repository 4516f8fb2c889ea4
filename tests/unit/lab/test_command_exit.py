"""Whatever goes wrong in a command is one sentence on stderr and exit code 3."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from caplab_cluster.failure import Failure
from support.objects.fake_api_server import PRODUCTION, fake_api_server, kubeconfig
from support.runs.fake_runs import FakeToolkit, experiments_in

from caplab import cli
from caplab.command_line.exits import run_command
from caplab.kube import context
from caplab.kube.context import CONTEXT_VARIABLE, ContextRefused
from caplab.model.fields import FieldError
from caplab.run import places, suite_run
from caplab.run.toolkit import RunFailed

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("KUBECONFIG", CONTEXT_VARIABLE):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    monkeypatch.setenv("CAPLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(context, "_pinned", None)
    return tmp_path / "cache"


def test_what_a_library_logs_by_no_logger_of_its_own_is_plain_too(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """The API server's client calls logging.error(), which would set up a handler that shows all as it came."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    def work() -> int:
        logging.error("exec: said \x1b[2J%s", "a\nb")
        return 0

    assert run_command("run", work, "") == 0
    assert capsys.readouterr().err == "note: exec: said [2Ja b\n"


def raising(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FieldError("field 'x' is missing. Hint: add it."), "FAILED: field 'x' is missing. Hint: add it."),
        (ContextRefused("no context"), "FAILED: no context"),
        (Failure("It is so.", "Do this."), "FAILED: It is so. Hint: Do this."),
        (PermissionError(13, "Permission denied", "/x/y.yaml"), "FAILED: /x/y.yaml: Permission denied."),
        (KeyboardInterrupt(), "interrupted: so it is"),
        (FieldError("red \x1b[31m and\nblue"), "FAILED: red [31m and blue"),
    ],
)
def test_what_is_expected_is_told_as_it_is(error: BaseException, line: str, capsys: Captured) -> None:
    assert run_command("run", raising(error), "so it is") == 3
    assert capsys.readouterr() == ("", f"{line}\n")


def test_what_nobody_expected_is_told_in_one_line_and_its_traceback_is_kept(cache: Path, capsys: Captured) -> None:
    assert run_command("run", raising(ZeroDivisionError("planted\nin two lines")), "") == 3
    error_line = capsys.readouterr().err
    log = cache / "logs" / "caplab-run.log"
    assert error_line == f"FAILED: unexpected ZeroDivisionError: planted in two lines (its traceback is in {log})\n"
    assert log.read_text().startswith("Traceback")


def test_a_traceback_that_cannot_be_kept_hides_nothing(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("CAPLAB_CACHE", "/dev/null/cache")
    assert run_command("run", raising(ZeroDivisionError("planted")), "") == 3
    assert "planted (its traceback could not be kept: Not a directory)" in capsys.readouterr().err


def test_what_is_logged_is_plain_too(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    def work() -> int:
        logging.getLogger("caplab.run").warning("the namespace \x1b[2J%s", "a\nb")
        return 0

    assert run_command("run", work, "") == 0
    assert capsys.readouterr().err == "note: the namespace [2Ja b\n"


def test_a_sigterm_is_as_ctrl_c_and_the_handler_before_is_put_back(capsys: Captured) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def work() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("it goes on")

    assert run_command("run", work, "all stays as it is") == 3
    assert capsys.readouterr().err == "interrupted: all stays as it is\n"
    assert signal.getsignal(signal.SIGTERM) is before


# --- whole commands ----------------------------------------------------------------------------------------


@pytest.fixture
def toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeToolkit:
    fake = FakeToolkit()
    monkeypatch.setattr(suite_run, "drive", fake)
    experiments = experiments_in(tmp_path / "experiments")
    monkeypatch.setattr("caplab.run.command.experiments_folder", lambda: experiments)
    monkeypatch.setattr(places, "choose_lab", lambda: "the lab")
    return fake


def run(*words: str) -> int:
    return cli.main(["run", "two", "--keep", *words])


@pytest.mark.parametrize("where", ["/dev/null/x", "/proc/x"])
def test_results_that_can_be_kept_nowhere_are_refused_before_anything_is_run(
    toolkit: FakeToolkit, where: str, capsys: Captured
) -> None:
    assert run("--results", where) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"FAILED: Results cannot be kept in {where}/")
    assert "Hint: name a folder" in line
    assert toolkit.driven == []


def test_an_experiment_that_cannot_be_read_is_named(toolkit: FakeToolkit, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "experiments" / "suites" / "two.yaml").write_bytes(b"\xff\xfe\x00")
    assert run("--results", str(tmp_path)) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "two.yaml" in line


def test_a_run_that_the_lab_cannot_make_is_told_on_stderr(
    toolkit: FakeToolkit, tmp_path: Path, capsys: Captured
) -> None:
    def fail(_: Path) -> Any:
        raise RunFailed("no prober \x1b[2Jin zone a")

    toolkit.instead["redis/control"] = fail
    assert run("--results", str(tmp_path)) == 3
    captured = capsys.readouterr()
    assert captured.err == "FAILED: redis/control: no prober [2Jin zone a\n"
    assert "\x1b" not in captured.out


# In a process of its own: a limit on the size of files stays, and stdout is to be a device.
LIMITED = """
import resource, signal, sys
sys.path[:0] = {path!r}
from pathlib import Path
from support.runs.fake_runs import FakeToolkit, experiments_in
from caplab import cli
from caplab.run import places, suite_run
from caplab.run_context import RunContext
import caplab.run.command
fake = FakeToolkit()
suite_run.drive = fake
experiments = experiments_in(Path({folder!r}) / "experiments")
caplab.run.command.experiments_folder = lambda: experiments
places.choose_lab = lambda: "the lab"
def fill(folder):
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
    return FakeToolkit()(Path("postgres/control.yaml"), {{}}, RunContext(folder=folder), None)
fake.instead["postgres/control"] = fill
code = cli.main(["run", "two", "--keep", "--results", {folder!r} + "/results"])
print(fake.driven, file=sys.stderr)
sys.exit(code)
"""


def limited(
    folder: Path, limit: int, stdout: Any = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[str]:
    program = LIMITED.format(path=sys.path, folder=str(folder), limit=limit)
    return subprocess.run(
        [sys.executable, "-c", program],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("limit", [0, 100, 3000])
def test_a_disk_that_is_full_in_the_midst_of_a_suite_ends_it_in_a_sentence(tmp_path: Path, limit: int) -> None:
    done = limited(tmp_path, limit)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "File too large" in done.stderr
    assert all(line.startswith(("FAILED: ", "[")) for line in done.stderr.splitlines()), done.stderr
    (suite,) = (tmp_path / "results").iterdir()
    assert (suite / "verdict.json").read_text().startswith("{")  # as it was when there was room


def test_a_terminal_that_lacks_letters_costs_no_run(tmp_path: Path) -> None:
    done = limited(tmp_path, 10**9, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "AS PROMISED" in done.stdout


def test_a_stdout_that_takes_nothing_costs_no_run_but_is_said(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = limited(tmp_path, 10**9, full)
    assert done.returncode == 3
    assert "No space left on device" in done.stderr
    assert "redis/control" in done.stderr.splitlines()[-1]  # it was run all the same
    assert "Traceback" not in done.stderr


def test_a_context_that_is_refused_makes_no_folder_and_no_run(tmp_path: Path, capsys: Captured) -> None:
    with fake_api_server() as api:
        api.providers = PRODUCTION
        os.environ["KUBECONFIG"] = str(kubeconfig(tmp_path, "kind-prod", kind_prod=api.address))
        assert cli.main(["run", "redis/control", "--results", str(tmp_path / "results")]) == 3
        assert cli.main(["heal"]) == 3
        assert all("delete" not in path for path in api.asked)
    first, *rest = capsys.readouterr().err.splitlines()
    assert "FAILED: The current kube context 'kind-prod' is not that of a kind cluster" in first
    assert any("'kind-prod' is not that of a kind cluster" in line for line in rest)
    assert not (tmp_path / "results").exists()


def test_an_api_server_that_is_away_is_a_sentence(tmp_path: Path, capsys: Captured) -> None:
    os.environ["KUBECONFIG"] = str(kubeconfig(tmp_path, "kind-x", kind_x="http://127.0.0.1:1"))
    assert cli.main(["run", "redis/control", "--results", str(tmp_path)]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "http://127.0.0.1:1, does not answer" in line
