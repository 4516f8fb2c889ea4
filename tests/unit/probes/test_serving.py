"""Metrics and histories over HTTP: what is asked for, what is refused, and that nothing breaks the prober."""

from __future__ import annotations

import http.client
import io
import json
import os
import random
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow has no stubs
import pytest
from caplab_probes import serving
from caplab_probes.exporter import Exporter
from caplab_probes.history import meta
from caplab_probes.history.reading import HistoryStream, HistoryUnreadable, arrow_stream, read_in_child
from caplab_probes.history.recovery import recovered
from caplab_probes.history.writer import Row, SegmentWriter
from caplab_probes.load.schedule import SECOND_NS, Schedule
from caplab_probes.load.workloads import Writer, value_of
from caplab_probes.serving import serve
from caplab_probes.spec import ProbeSpec

from caplab.model.history import validate

ROW = Row("a", 1, "add", None, 7, None, None, None, "service", "m0", "1", 10, 11, 12, "ok", None)
WRITER = Writer(ProbeSpec(run_id="r1", workload="set", rate=10, routes=("service",), vantages=("a",), seed=1), 0)
RECORD = meta.begin(WRITER, Schedule(anchor_ns=SECOND_NS, rate=10))
NOTE = {"endpoint": "pg-0", "server": "pg-0", "epoch": "3", "primary": True, "elements": 2, "problem": ""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a namespace with a run r1 that is still written: five rows in an open segment."""
    run = tmp_path / "history" / "demo" / "r1"
    meta.write_meta(run, replace(RECORD, writer=replace(WRITER, incarnation=meta.reserve(run))))
    SegmentWriter(run, 0).write([ROW._replace(value=value_of(WRITER, index)) for index in range(5)], 0)
    (tmp_path / "secret.json").write_text("{}")
    return run.parent


TOKEN = "t" * 43
HELD = {"X-Caplab-Token": TOKEN}


@pytest.fixture
def server(folder: Path) -> Iterator[Any]:
    exporter = Exporter("a")
    with exporter.load("postgres", "demo", "pg", "set") as figures:
        figures.observe(ROW)
        server = serve(exporter, folder.parent, 0, TOKEN, namespaced=True)
        yield server
        server.shutdown()
        server.server_close()


@pytest.fixture
def port(server: Any) -> int:
    number: int = server.server_address[1]
    return number


def ask(
    port: int, path: str, method: str = "GET", accept: str = "", headers: Mapping[str, str] = HELD
) -> tuple[int, str, bytes]:
    if path.startswith("/runs"):
        path = f"/namespaces/demo{path}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, headers={**headers, **({"Accept": accept} if accept else {})})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers["Content-Type"], body


@pytest.mark.parametrize(
    ("accept", "kind"), [("", "text/plain"), ("application/openmetrics-text; version=1.0.0", "application/openmetrics")]
)
def test_metrics_are_served_as_the_scraper_likes_them(port: int, accept: str, kind: str) -> None:
    status, content_type, body = ask(port, "/metrics", accept=accept)
    assert status == 200
    assert content_type.startswith(kind)
    assert b'caplab_operations_total{cluster="pg",cluster_namespace="demo",engine="postgres",level=' in body
    assert b"process_cpu_seconds_total" in body


def test_a_history_comes_as_one_stream_with_what_the_schedule_says_may_be_missing(port: int, folder: Path) -> None:
    status, kind, body = ask(port, "/runs/r1/history.arrow")
    assert (status, kind) == (200, "application/vnd.apache.arrow.stream")
    table = pa.ipc.open_stream(body).read_all()
    assert table.equals(recovered(folder / "r1"))
    outcomes = validate(table).column("outcome").to_pylist()
    assert outcomes.count("ok") == 5
    assert "info" in outcomes


def test_a_history_is_compressed_also_where_it_was_written_in_small_batches(folder: Path) -> None:
    writer = SegmentWriter(folder / "r1", 1)
    for number in range(500):
        writer.write([ROW._replace(value=40 * number + index) for index in range(40)], 0)
    history = recovered(folder / "r1")
    assert len(arrow_stream(history)) < history.nbytes / 4


def test_metas_and_the_notes_of_scans_come_as_lists(port: int, folder: Path) -> None:
    assert json.loads(ask(port, "/runs/r1/scans.json")[2]) == []
    for incarnation, endpoints in ((1, ["pg-0"]), (12, ["pg-0", "pg-1"])):
        notes = [{**NOTE, "endpoint": endpoint} for endpoint in endpoints]
        meta.write_json(folder / "r1" / f"scan-{incarnation:02d}.json", notes)
    meta.reserve(folder / "r1")  # of a probe that has not begun
    status, kind, body = ask(port, "/runs/r1/scans.json")
    assert (status, kind) == (200, "application/json")
    pairs = [(note["endpoint"], note["incarnation"]) for note in json.loads(body)]
    assert pairs == [("pg-0", 1), ("pg-0", 12), ("pg-1", 12)]
    (plain,) = json.loads(ask(port, "/runs/r1/metas.json")[2])
    assert plain == json.loads(json.dumps(asdict(RECORD)))


@pytest.mark.parametrize("page", ["history.arrow", "scans.json", "metas.json"])
def test_a_run_that_is_not_here_is_404_with_a_sentence(port: int, page: str) -> None:
    status, _, body = ask(port, f"/runs/r2/{page}")
    assert (status, body.decode().splitlines()) == (
        404,
        ["This prober has no run 'r2'. Hint: ask a vantage of the run, before the run is pruned."],
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/runs/../scans.json", 400),
        ("/runs/./scans.json", 400),
        ("/runs//scans.json", 400),
        ("/runs/%2e%2e/scans.json", 400),
        ("/runs/..%2fhistory/scans.json", 400),
        ("/runs/r1%00/scans.json", 400),
        ("/runs/.going-r1/metas.json", 400),
        ("/runs/r1\\..\\x/metas.json", 400),
        (f"/runs/{'x' * 101}/metas.json", 400),
        ("/runs/r1/../../secret.json", 404),
        ("/runs/r1/meta-00.json", 404),
        ("/runs/r1/", 404),
        ("/runs/", 404),
        ("/../secret.json", 404),
        ("/", 404),
    ],
)
def test_there_is_no_way_out_of_the_folder(port: int, path: str, status: int) -> None:
    answered, kind, body = ask(port, path)
    assert (answered, kind) == (status, "text/plain; charset=utf-8")
    assert body.count(b"\n") == 1


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "HEAD"])
def test_nothing_can_be_changed(port: int, folder: Path, method: str) -> None:
    before = sorted(folder.rglob("*"))
    assert ask(port, "/runs/r1/history.arrow", method)[0] == 501
    assert sorted(folder.rglob("*")) == before


def test_a_file_that_cannot_be_read_is_500_with_a_sentence_and_the_prober_goes_on(port: int, folder: Path) -> None:
    (folder / "r1" / "meta-00.json").write_text("{")
    (folder / "r1" / "scan-01.json").write_text('[{"endpoint"')
    for page in ("history.arrow", "scans.json", "metas.json"):
        status, _, body = ask(port, f"/runs/r1/{page}")
        assert status == 500
        assert body.startswith(b"Run r1 could not be read: JSONDecodeError(")
        assert body.count(b"\n") == 1
    assert ask(port, "/metrics")[0] == 200


def test_metrics_that_fail_are_500(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "choose_encoder", lambda accept: (lambda registry: 1 / 0, "text/plain"))
    assert ask(port, "/metrics")[::2] == (
        500,
        b"The metrics could not be read: ZeroDivisionError('division by zero').\n",
    )


def test_a_run_that_is_pruned_while_it_is_read_is_not_there(server: Any, port: int) -> None:
    @contextmanager
    def half(run: Path) -> Iterator[HistoryStream]:
        shutil.rmtree(run)
        yield HistoryStream(3, io.BytesIO(b"abc"))

    server.read = half
    assert ask(port, "/runs/r1/history.arrow")[0] == 404


def test_a_client_that_talks_nonsense_or_goes_away_costs_nothing(port: int) -> None:
    whole = f"GET /namespaces/demo/runs/r1/history.arrow HTTP/1.0\r\nX-Caplab-Token: {TOKEN}\r\n\r\n"
    for line in (b"\x16\x03\x01 nonsense\r\n\r\n", whole.encode(), b""):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(line)
    assert ask(port, "/runs/r1/metas.json")[0] == 200


@pytest.mark.parametrize("path", ["/metrics", "/runs/r1/history.arrow", "/runs/r1/scans.json", "/runs/../x", "/"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Caplab-Token": ""}, {"X-Caplab-Token": TOKEN[1:]}, {"Authorization": f"Basic {TOKEN}"},
     {"X-Caplab-Token": "\xe9" * 43}, {"Authorization": "Bearer"}],
)  # fmt: skip
def test_who_does_not_hold_the_token_learns_nothing(port: int, path: str, headers: dict[str, str]) -> None:
    status, _, body = ask(port, path, headers=headers)
    assert status == 401
    assert body.startswith(b"The request lacks the probers' token. Hint: send it as X-Caplab-Token")
    assert TOKEN.encode() not in body


def test_a_scraper_sends_it_as_a_bearer_token(port: int) -> None:
    assert ask(port, "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200


def test_a_namespaces_histories_are_its_own(port: int, folder: Path) -> None:
    other = folder.parent / "other" / "r1"
    meta.write_meta(other, replace(RECORD, writer=replace(WRITER, incarnation=meta.reserve(other))))
    SegmentWriter(other, 0).write([ROW._replace(value=value_of(WRITER, 0))], 0)
    rows = [
        pa.ipc.open_stream(ask(port, f"/namespaces/{name}/runs/r1/history.arrow")[2]).read_all().column("outcome")
        for name in ("demo", "other")
    ]
    assert [row.to_pylist().count("ok") for row in rows] == [5, 1]
    assert ask(port, "/namespaces/third/runs/r1/history.arrow")[0] == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/namespaces/../runs/r1/metas.json", 400),
        ("/namespaces//runs/r1/metas.json", 400),
        ("/namespaces/demo%2f..%2fother/runs/r1/metas.json", 400),
        ("/namespaces/Demo/runs/r1/metas.json", 400),
        ("/namespaces/.demo/runs/r1/metas.json", 400),
        (f"/namespaces/{'x' * 64}/runs/r1/metas.json", 400),
        ("/namespaces/demo/runs/../metas.json", 400),
        ("/namespaces/demo/r1/metas.json", 404),
        ("/namespaces/demo/runs/r1/x/metas.json", 404),
        ("//runs/r1/metas.json", 404),
    ],
)
def test_there_is_no_way_out_of_the_namespace(port: int, path: str, status: int) -> None:
    assert ask(port, path)[0] == status


def test_a_prober_without_a_token_listens_to_its_own_machine_only(folder: Path) -> None:
    server = serve(Exporter("a"), folder, 0)
    try:
        assert server.server_address[0] == "127.0.0.1"
        connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
        connection.request("GET", "/runs/r1/metas.json")
        assert connection.getresponse().status == 200
    finally:
        server.shutdown()
        server.server_close()


def connected(port: int, sends: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(sends)
    return client


def test_who_is_slow_to_ask_is_let_go(server: Any, port: int) -> None:
    server.request_seconds = 0.7
    slow = [connected(port, b"GET /metr") for _ in range(serving.MAX_REQUESTS)]
    began = time.monotonic()
    assert [client.recv(100) for client in slow] == [b""] * serving.MAX_REQUESTS
    assert time.monotonic() - began < 3
    assert ask(port, "/metrics")[0] == 200


def test_who_holds_a_place_without_the_token_makes_room_for_who_has_it(server: Any, port: int) -> None:
    slow = [connected(port, b"GET /metr") for _ in range(2 * serving.MAX_REQUESTS)]
    assert ask(port, "/metrics")[0] == 200
    assert slow[0].recv(100) == b""  # the one that asked for the longest
    for client in slow:
        client.close()


def test_only_so_many_are_answered_at_a_time(server: Any, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(serving, "metrics_reply", lambda *_: over.wait(10) and serving.text_reply(200, "done"))
    request = f"GET /metrics HTTP/1.0\r\nX-Caplab-Token: {TOKEN}\r\n\r\n".encode()
    busy = [connected(port, request) for _ in range(serving.MAX_REQUESTS)]
    end = time.monotonic() + 60
    while server._unauthenticated or server._slots._value:
        assert time.monotonic() < end
        time.sleep(0.005)
    with connected(port, request) as one_more:
        assert one_more.recv(100).startswith(b"HTTP/1.0 503 ")
    over.set()
    assert all(client.recv(100).startswith(b"HTTP/1.0 200 ") for client in busy)


def test_who_is_slow_to_take_a_history_is_cut_off_and_its_reader_ends(server: Any, port: int) -> None:
    ended = threading.Event()

    @contextmanager
    def endless(run: Path) -> Iterator[HistoryStream]:
        try:
            yield HistoryStream(1 << 40, open("/dev/zero", "rb"))  # noqa: SIM115, PTH123
        finally:
            ended.set()

    server.read, server.response_seconds = endless, 0.5
    request = f"GET /namespaces/demo/runs/r1/history.arrow HTTP/1.0\r\nX-Caplab-Token: {TOKEN}\r\n\r\n"
    with connected(port, request.encode()):
        assert ended.wait(5)


def test_a_request_is_bounded(port: int) -> None:
    for sends in (b"GET /" + b"x" * 70_000, b"GET / HTTP/1.0\r\n" + b"A: b\r\n" * 200 + b"\r\n"):
        with connected(port, sends + b" HTTP/1.0\r\n\r\n") as client:
            assert client.recv(100)[9:12] in (b"414", b"431")


def test_a_reader_that_dies_is_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(HistoryUnreadable, match="ended early"), read_in_child(folder / "r1"):
        pass


def nice_of_readers() -> list[int]:
    """The priorities of this process' children that read histories (proc(5): ppid is the 4th field, nice the 19th)."""
    niceness = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid() and b"caplab_probes.history.reading" in (process / "cmdline").read_bytes():
                niceness.append(int(fields[16]))
    return niceness


def test_a_history_is_read_by_a_process_of_the_lowest_priority(folder: Path) -> None:
    writer = SegmentWriter(folder / "r1", 1)
    for number in range(40):  # more than a pipe holds: it waits to be read
        writer.write([ROW._replace(value=random.getrandbits(60)) for _ in range(500)], number * 10**9)
    with read_in_child(folder / "r1") as stored:
        assert nice_of_readers() == [19]
        assert len(b"".join(stored.blocks())) == stored.length
    assert nice_of_readers() == []


def test_a_port_that_is_taken_is_said_with_the_hint(port: int, folder: Path) -> None:
    with pytest.raises(ValueError, match=rf"metrics-port is {port}.*Hint"):
        serve(Exporter("a"), folder, port)
