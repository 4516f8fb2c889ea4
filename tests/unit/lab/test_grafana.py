"""Where a run is seen in Grafana, and what is written there; whatever Grafana does, a verdict stays what it is."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.checkers.histories import kill, run_record
from support.objects.kube_clients import client_at
from support.runs.fake_runs import FakeToolkit, experiments_in, journal, left_behind, record_of

from caplab import grafana
from caplab.grafana import TOKEN_VARIABLE, URL_VARIABLE, Grafana, NotMarked, Span, annotations_of, configured, find
from caplab.kube import context
from caplab.kube.client import Client
from caplab.kube.errors import NoAnswer, NotFound
from caplab.run import suite_run
from caplab.run.command import RunOptions, run

TOKEN = "glsa_" + "t" * 32
SPAN = Span(1_700_000_000_000, 1_700_000_060_000)


class FakeGrafana(ThreadingHTTPServer):
    """Notes what is asked of it, and answers as it is told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, Any]] = []
        self.status, self.body, self.location = 200, b'{"message": "Annotation added", "id": 1}', ""
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: FakeGrafana

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, self.headers.get("Authorization"), json.loads(body)))
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[FakeGrafana]:
    with FakeGrafana() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def test_the_link_is_of_the_runs_time_and_of_its_cluster() -> None:
    link = Grafana("http://localhost:3000").link(SPAN, {"cluster": "pg", "experiment": "postgres/kill-primary"})
    parts = urlsplit(link)
    assert (parts.netloc, parts.path) == ("localhost:3000", "/d/caplab-run")
    assert parse_qs(parts.query) == {
        "from": ["1699999995000"],
        "to": ["1700000065000"],
        "var-cluster": ["pg"],
        "var-experiment": ["postgres/kill-primary"],
    }


def test_the_run_and_each_fault_are_regions_on_the_run_dashboard() -> None:
    record = run_record(fault_windows=(kill(1000, 10_000), kill(2000, None, proven=False)))
    whole, first, second = annotations_of(record, SPAN, "postgres/kill-primary async", "valid")
    assert whole == {
        "dashboardUID": "caplab-run",
        "time": SPAN.began_ms,
        "timeEnd": SPAN.ended_ms,
        "text": "postgres/kill-primary async: valid",
        "tags": ["caplab", "run", "valid"],
    }
    assert (first["time"], first["timeEnd"]) == (1_700_000_001_000, 1_700_000_010_000)
    assert (first["text"], first["tags"]) == ("kill of pg-0", ["caplab", "fault", "kill"])
    assert second["timeEnd"] == SPAN.ended_ms
    assert second["text"] == "kill of pg-0 (without evidence)"


def test_annotations_are_written_with_the_token(server: FakeGrafana) -> None:
    Grafana(server.url, TOKEN).mark([{"text": "one"}, {"text": "two"}])
    assert server.asked == [("/api/annotations", f"Bearer {TOKEN}", {"text": text}) for text in ("one", "two")]


def test_a_refusal_is_told_in_one_line_and_without_the_token(server: FakeGrafana) -> None:
    server.status, server.body = 401, f'{{"message": "{TOKEN} is\n\x1b[31mno good"}}'.encode()
    with pytest.raises(NotMarked, match=r"2 of 2 annotations: .* says: 401") as error:
        Grafana(server.url, TOKEN).mark([{}, {}])
    assert TOKEN not in str(error.value)
    assert str(error.value).isprintable()
    assert len(server.asked) == 1


def test_a_redirect_does_not_carry_the_token_elsewhere(server: FakeGrafana) -> None:
    with FakeGrafana() as other:
        threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        server.status, server.location = 307, f"{other.url}/api/annotations"
        with pytest.raises(NotMarked, match="307"):
            Grafana(server.url, TOKEN).mark([{}])
        other.shutdown()
        assert other.asked == []


def test_one_that_never_answers_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grafana, "_TIMEOUT", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0), backlog=5) as silent:
        began = time.monotonic()
        with pytest.raises(NotMarked, match="Timeout"):
            Grafana(f"http://127.0.0.1:{silent.getsockname()[1]}", TOKEN).mark([{}, {}, {}])
        assert time.monotonic() - began < 5


def test_one_that_answers_drop_by_drop_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grafana, "_TIMEOUT", (0.2, 0.2))
    monkeypatch.setattr(grafana, "_ALL_SECONDS", 0.3)
    ended = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
            while not ended.wait(0.05):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=drip, args=(listening,), daemon=True).start()
        began = time.monotonic()
        with pytest.raises(NotMarked, match=r"some of 2 annotations: .* answers too slowly"):
            Grafana(f"http://127.0.0.1:{listening.getsockname()[1]}", TOKEN).mark([{}, {}])
        assert time.monotonic() - began < 5
        ended.set()


def test_one_that_is_slow_is_not_waited_for_all_day(monkeypatch: pytest.MonkeyPatch, server: FakeGrafana) -> None:
    monkeypatch.setattr(grafana, "_ALL_SECONDS", -1.0)
    with pytest.raises(NotMarked, match="3 of 3 annotations: they take too long"):
        Grafana(server.url, TOKEN).mark([{}, {}, {}])


def test_no_more_are_written_than_anybody_reads(server: FakeGrafana) -> None:
    with pytest.raises(NotMarked, match="10 of 60 annotations: 50 are enough"):
        Grafana(server.url, TOKEN).mark([{}] * 60)
    assert len(server.asked) == 50


def test_the_environment_names_one() -> None:
    assert configured({}) == (None, "")
    assert configured({URL_VARIABLE: "https://g.example/x/", TOKEN_VARIABLE: TOKEN})[0] == Grafana(
        "https://g.example/x", TOKEN
    )
    assert configured({URL_VARIABLE: "https://g.example"})[0] == Grafana("https://g.example")
    assert TOKEN not in repr(Grafana("https://g.example", TOKEN))


@pytest.mark.parametrize(
    ("url", "token", "says"),
    [
        ("", TOKEN, f"{URL_VARIABLE} is not"),
        ("g.example:3000", TOKEN, "not the address"),
        ("ftp://g.example", TOKEN, "not the address"),
        ("http://[", TOKEN, "not the address"),
        ("http://g.example?x=1", TOKEN, "not the address"),
        ("http://g.example/?", TOKEN, "not the address"),
        ("http://g.example/#", TOKEN, "not the address"),
        ("http://g.example:99999", TOKEN, "not the address"),
        ("http://g.example:port", TOKEN, "not the address"),
        ("http://g.example\x1b[2J", TOKEN, "not the address"),
        ("http://admin:hunter2@g.example", TOKEN, "contains a user"),
        ("http://g.example", f"{TOKEN}\nX-Other: 1", "characters that no token has"),
        ("http://g.example", f"{TOKEN} ", "characters that no token has"),
    ],
)
def test_what_makes_no_sense_is_refused_and_shows_no_secret(url: str, token: str, says: str) -> None:
    place, problem = find({URL_VARIABLE: url, TOKEN_VARIABLE: token})
    assert place is None
    assert says in problem
    assert "Hint: " in problem
    assert TOKEN not in problem
    assert "hunter2" not in problem


def test_where_nothing_is_pinned_no_cluster_is_asked_for_a_grafana(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "_pinned", None)
    monkeypatch.setattr(context, "pinned", lambda: pytest.fail("asked"))
    assert find({}) == (None, "")


@pytest.mark.parametrize("error", [NotFound(), NoAnswer("too late"), OSError("no such program")])
def test_whatever_asking_for_the_labs_own_comes_to_no_suite_ends_by_it(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(context, "is_pinned", lambda: True)
    monkeypatch.setattr(context, "pinned", lambda: SimpleNamespace(client=client_at(1)))
    monkeypatch.setattr(Client, "call", broken)
    assert find({}) == (None, "")


LABELS = {"cluster_namespace": "caplab-runs", "cluster": "pg"}


@pytest.fixture
def toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeToolkit:
    def measured(folder: Path) -> dict[str, Any]:
        return journal(labels=LABELS, **left_behind(folder, record_of("postgres/kill-primary")))

    fake = FakeToolkit({"postgres/kill-primary": measured})
    monkeypatch.setattr(suite_run, "drive", fake)
    experiments = experiments_in(tmp_path / "experiments")
    monkeypatch.setattr("caplab.run.command.experiments_folder", lambda: experiments)
    for variable in (URL_VARIABLE, TOKEN_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    return fake


def made(tmp_path: Path) -> tuple[int, str, str]:
    """The exit code of a run of the suite 'two', what is shown, and the log of its first run."""
    out = io.StringIO()
    code = run(RunOptions(name="two", folder=tmp_path / "results", keep=True), out)
    logs = sorted((tmp_path / "results").glob("*/01-*/run.log"))
    return code, out.getvalue(), logs[0].read_text() if logs else ""


@pytest.mark.usefixtures("toolkit")
def test_without_a_grafana_nothing_is_said_of_it(tmp_path: Path) -> None:
    code, shown, log = made(tmp_path)
    assert (code, log) == (0, "")
    assert "dashboard" not in shown
    assert "Grafana" not in shown


@pytest.mark.usefixtures("toolkit")
def test_where_the_lab_has_one_each_run_has_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grafana, "_is_installed", lambda: True)
    code, shown, _ = made(tmp_path)
    links = [
        line for line in shown.splitlines() if line.startswith("dashboard: http://localhost:3000/d/caplab-run?from=")
    ]
    assert (code, len(links)) == (0, 3)
    assert "var-cluster_namespace=caplab-runs&var-cluster=pg" in links[0]


@pytest.mark.usefixtures("toolkit")
def test_where_a_token_is_given_each_run_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FakeGrafana
) -> None:
    monkeypatch.setenv(URL_VARIABLE, server.url)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    code, shown, log = made(tmp_path)
    assert (code, log) == (0, "")
    assert [
        annotation["text"].rpartition(":")[2] for _, _, annotation in server.asked if "run" in annotation["tags"]
    ] == [" valid"] * 3
    assert [annotation["text"] for _, _, annotation in server.asked if "fault" in annotation["tags"]] == [
        "kill of pg-0"
    ]
    assert f"dashboard: {server.url}/d/caplab-run" in shown
    assert TOKEN not in shown


@pytest.mark.usefixtures("toolkit")
@pytest.mark.parametrize("status", [401, 500, None])
def test_a_grafana_that_fails_is_a_warning_and_changes_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FakeGrafana, status: int | None
) -> None:
    if status is None:
        server.shutdown()
        server.server_close()
    else:
        server.status = status
    monkeypatch.setenv(URL_VARIABLE, server.url)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    code, shown, log = made(tmp_path)
    assert code == 0
    assert shown.count("note: not marked in Grafana: ") == 3
    assert log.startswith("WARNING caplab.run: not marked in Grafana: 2 of 2 annotations: ")
    assert TOKEN not in shown + log


@pytest.mark.usefixtures("toolkit")
def test_what_nobody_expected_of_grafana_changes_no_verdict_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FakeGrafana
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError(TOKEN)

    monkeypatch.setattr(grafana, "annotations_of", broken)
    monkeypatch.setenv(URL_VARIABLE, server.url)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    code, shown, log = made(tmp_path)
    assert code == 0
    assert "unexpected ZeroDivisionError" in log
    assert TOKEN not in shown + log
