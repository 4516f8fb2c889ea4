"""The page of the nights: it lists, opens what it is meant to, and nothing else."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from threading import Thread, active_count

import pytest

from caplab import cli
from caplab.bounded_server import AT_ONCE
from caplab.nightly import page
from caplab.nightly.page import Answer, answer, as_html
from caplab.nightly.report import PAGE, REPORT, Report
from caplab.nightly.store import Store, of_folder

NIGHT, OLDER = "20261129-022300-core", "20261128-022300-core"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    for name, outcome in ((NIGHT, "invalid, regressed"), (OLDER, "valid")):
        folder = tmp_path / "results" / name
        (folder / "01-x").mkdir(parents=True)
        (folder / "01-x" / "run.json").write_text("secret")
        (folder / PAGE).write_text("# core\n\n| a | b |\n| --- | --- |\n| 1 | <script>alert(1)</script> |\n")
        report = Report(suite="core", began="b", ended="e", runner="r", outcome=outcome)
        (folder / REPORT).write_bytes(report.to_json())
    for name in ("trend.html", "report.html"):
        (tmp_path / "results" / NIGHT / name).write_text("<script></script>")
    (tmp_path / "results" / "under-way.json").write_text("{}")
    (tmp_path / "secret").write_text("secret")
    return of_folder(tmp_path / "results")


def test_nights_are_listed_the_newest_first_each_with_what_it_came_to(store: Store) -> None:
    text = answer(store, "/").content.decode()
    assert text.index(NIGHT) < text.index(OLDER)
    assert '<td class="bad">invalid, regressed</td>' in text
    assert '<td class="valid">valid</td>' in text
    assert f'<a href="/{NIGHT}/trend.html">' in text


def test_a_night_without_a_report_is_listed_as_not_told(store: Store) -> None:
    store.write("20261130-022300-core/summary.md", b"# Runs")
    assert '<td class="unsure">not reported</td>' in answer(store, "/").content.decode()
    assert "<h1>Runs</h1>" in answer(store, "/20261130-022300-core/").content.decode()


@pytest.mark.parametrize(
    ("verdict", "cell"),
    [
        ('{"verdict": "valid"}', '<td class="valid">valid, not compared</td>'),
        ('{"verdict": "invalid"}', '<td class="bad">invalid, not compared</td>'),
        ('{"verdict": "unknown"}', '<td class="unsure">unknown, not compared</td>'),
        ('{"verdict": "<b>"}', '<td class="unsure">not reported</td>'),
        ("{", '<td class="unsure">not reported</td>'),
        ("[]", '<td class="unsure">not reported</td>'),
    ],
)
def test_a_suite_that_no_night_ran_is_listed_by_its_verdict(store: Store, verdict: str, cell: str) -> None:
    store.write("20261130-022300-core/verdict.json", verdict.encode())
    assert cell in answer(store, "/").content.decode()


def test_a_page_leads_to_the_other_files_of_its_night_and_fits_a_phone(store: Store) -> None:
    text = answer(store, f"/{NIGHT}/").content.decode()
    assert '<a href="/">all nights</a>' in text
    assert f'<a href="/{NIGHT}/trend.html">trend.html</a>' in text
    assert 'name="viewport" content="width=device-width' in text


def test_a_summary_opens_with_its_tables_and_no_script(store: Store) -> None:
    reply = answer(store, f"/{NIGHT}/")
    text = reply.content.decode()
    assert "<td>1</td>" in text
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert reply.policy.startswith("default-src 'none'")
    for name in ("trend.html", "report.html"):
        assert answer(store, f"/{NIGHT}/{name}").policy.startswith("sandbox allow-scripts; default-src 'none'")


@pytest.mark.parametrize(
    "path",
    ["/secret", "/../secret", "/%2e%2e/secret", "/under-way.json", f"/{NIGHT}/../../secret", f"/{NIGHT}/01-x",
     f"/{NIGHT}/01-x/run.json", f"/{NIGHT}/..%2f..%2fsecret", "/20261199-022300-core/", f"/{NIGHT}/plan.json",
     "//etc/passwd", f"/..{NIGHT}/"],
)  # fmt: skip
def test_nothing_else_is_shown(store: Store, path: str) -> None:
    reply = answer(store, path)
    assert reply.status is HTTPStatus.NOT_FOUND
    assert b"secret" not in reply.content


@pytest.mark.parametrize("path", [f"/{NIGHT}%00/", f"/{NIGHT}/trend.html%00", "//[", f"/{NIGHT}-{'x' * 300}/"])
def test_a_path_that_no_file_can_have_is_answered(store: Store, path: str) -> None:
    assert answer(store, path).status in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_GATEWAY)


@pytest.mark.parametrize("suite", ["a?b#c", "100%25", "<b>", '"><script>', "ü x", "'a'"])
def test_a_folder_with_odd_letters_is_linked_to_so_that_it_opens(store: Store, suite: str) -> None:
    store.write(f"20261201-022300-{suite}/summary.md", b"# Odd")
    text = answer(store, "/").content.decode()
    assert "<script>" not in text
    (link,) = re.findall(r'<a href="(/20261201[^"]*/)">', text)
    assert b"<h1>Odd</h1>" in answer(store, link).content


def test_a_port_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["nightly", "serve", "--port", "65536"])
    assert "'65536' is not a port" in capsys.readouterr().err


def test_an_empty_folder_and_one_that_is_not_there_have_no_nights(tmp_path: Path) -> None:
    assert b"There are no nights yet." in answer(of_folder(tmp_path / "none"), "/").content


def test_a_store_that_cannot_be_read_is_said(store: Store) -> None:
    class Silent:
        def exists(self, _: str) -> bool:
            raise OSError("the bucket's server does not answer")

    reply = answer(Store(Silent(), "nights"), "/")
    assert reply.status is HTTPStatus.BAD_GATEWAY
    assert b"the bucket&#x27;s server does not answer" in reply.content


def test_it_answers_reading_only(store: Store) -> None:
    made = page.server(store, "127.0.0.1", 0)
    Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        statuses = {}
        for method in ("GET", "HEAD", "POST", "DELETE", "PUT"):
            asked = http.client.HTTPConnection("127.0.0.1", made.server_port, timeout=10)
            asked.request(method, f"/{NIGHT}/")
            response = asked.getresponse()
            statuses[method] = response.status
            body = response.read()
            assert bool(body) is (method != "HEAD")
            asked.close()
        assert statuses == {"GET": 200, "HEAD": 200, "POST": 501, "DELETE": 501, "PUT": 501}
    finally:
        made.shutdown()
        made.server_close()


@pytest.mark.parametrize(
    ("listening", "host", "status"),
    [
        ("127.0.0.1", "localhost:8080", 200),
        ("127.0.0.1", "[::1]:8080", 200),
        ("127.0.0.1", "results.example:8080", 421),
        ("127.0.0.1", "localhost.results.example", 421),
        ("127.0.0.1", "127.0.0.1@results.example", 421),
        ("127.0.0.1", "[", 421),
        ("127.0.0.1", "", 421),
        ("0.0.0.0", "results.example:8080", 200),
    ],
)
def test_on_a_loopback_it_answers_by_no_other_name(store: Store, listening: str, host: str, status: int) -> None:
    made = page.server(store, listening, 0)
    Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        asked = http.client.HTTPConnection("127.0.0.1", made.server_port, timeout=10)
        asked.request("GET", f"/{NIGHT}/", headers={"Host": host})
        response = asked.getresponse()
        assert (response.status, b"<h1>core</h1>" in response.read()) == (status, status == 200)
        asked.close()
    finally:
        made.shutdown()
        made.server_close()


@pytest.mark.parametrize("what", ["every run", "every figure of every row (24)"])
def test_the_labs_own_pages_are_folded_and_other_html_is_text(what: str) -> None:
    folded = f"<details><summary>{what}</summary>\n\n# Runs\n\n</details>\n\n"
    text = as_html(f"{folded}<details open><summary><img src=x onerror=y></summary>\n\n<b>".encode())
    assert f"<details><summary>{what}</summary>" in text
    assert "<h1>Runs</h1>\n</details>" in text
    assert "<img" not in text
    assert "<b>" not in text
    assert text.count("<details") == 1


def odd_reports(folder: Path) -> dict[str, Callable[[], object]]:
    file = folder / REPORT
    report = json.loads(Report(suite="core", began="b", ended="e", runner="r", outcome="valid").to_json())
    return {
        "a folder": file.mkdir,
        "a pipe": lambda: os.mkfifo(file),
        "a link to itself": lambda: file.symlink_to(file),
        "half a letter": lambda: file.write_text(json.dumps({**report, "outcome": "\ud800"})),
        "too long": lambda: file.write_bytes(b"x" * (page.MAX_BYTES + 1)),
        "no UTF-8": Path(os.fsdecode(os.fsencode(folder) + b"-\xff")).mkdir,
    }


@pytest.mark.parametrize("what", ["a folder", "a pipe", "a link to itself", "half a letter", "too long", "no UTF-8"])
def test_one_odd_night_keeps_no_other_from_being_listed(store: Store, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "results" / "20261127-022300-core"
    folder.mkdir()
    odd_reports(folder)[what]()
    (Path(os.fsdecode(os.fsencode(folder) + b"-\xff")) if what == "no UTF-8" else folder).joinpath("a").touch()
    replies: list[Answer] = []
    asking = Thread(target=lambda: replies.append(answer(store, "/")), daemon=True)
    asking.start()
    asking.join(10)
    assert replies[0].status is HTTPStatus.OK
    assert NIGHT.encode() in replies[0].content
    assert b"20261127-022300-core" in replies[0].content


def test_a_folder_that_is_no_utf_8_opens_by_its_link(store: Store, tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path / "results") + b"/20261201-022300-\xff"))
    folder.mkdir()
    (folder / "summary.md").write_text("# Odd")
    (link,) = re.findall(r'<a href="(/20261201[^"]*/)">', answer(store, "/").content.decode())
    assert b"<h1>Odd</h1>" in answer(store, link).content


def test_a_link_leads_to_nothing_outside(store: Store, tmp_path: Path) -> None:
    (tmp_path / "results" / NIGHT / "verdict.json").symlink_to(tmp_path / "secret")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "verdict.json").write_text("secret")
    (tmp_path / "results" / "20261130-022300-core").symlink_to(elsewhere)
    for night in (NIGHT, "20261130-022300-core"):
        reply = answer(store, f"/{night}/verdict.json")
        assert reply.status is not HTTPStatus.OK
        assert b">secret" not in reply.content


def test_those_who_ask_and_never_end_keep_nobody_out(store: Store) -> None:
    server = page.server(store, "127.0.0.1", 0)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    before = active_count()
    slow = []
    try:
        for _ in range(100):
            slow.append(socket.create_connection(("127.0.0.1", server.server_port), timeout=10))
            slow[-1].sendall(b"GET / HT")
        asked = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        asked.request("GET", f"/{NIGHT}/")
        assert asked.getresponse().status == 200
        assert active_count() - before <= 6 * AT_ONCE  # and not 100: those that were given up take their time to end
    finally:
        for client in slow:
            client.close()
        server.shutdown()
        server.server_close()
