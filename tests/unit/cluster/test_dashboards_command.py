"""`make dashboards`: what it forwards to, what it says, and that the port-forward ends with it."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from caplab_cluster import __main__ as entry
from caplab_cluster import dashboards
from caplab_cluster.dashboards import GRAFANA, PROMETHEUS, choose_site, forwarded, introduction
from caplab_cluster.failure import Failure
from caplab_cluster.paths import DASHBOARDS, Cache
from caplab_cluster.progress import Progress
from caplab_cluster.prometheus_links import links, of_all
from caplab_dashboards import expressions

# Serves on any port, and says so as kubectl does.
_SERVES = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(f"Forwarding from 127.0.0.1:{server.server_port} -> 3000", flush=True)
server.serve_forever()
"""
_ENDS = "import sys; print('error: lost connection to pod', file=sys.stderr); sys.exit(1)"


def fake(script: str) -> list[str]:
    return [sys.executable, "-c", script]


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        (["caplab-operator", "caplab-prometheus", "caplab-grafana"], GRAFANA),
        (["caplab-operator", "caplab-prometheus"], PROMETHEUS),
    ],
)
def test_grafana_where_it_is_else_prometheus(there: list[str], chosen: object) -> None:
    assert choose_site(there) == chosen


def test_where_there_is_neither_that_is_said() -> None:
    with pytest.raises(Failure, match="Neither Grafana nor Prometheus") as failure:
        choose_site(["caplab-operator"])
    assert "make up" in failure.value.hint


def test_what_is_said_where_there_is_no_grafana() -> None:
    lines = introduction(PROMETHEUS, "http://127.0.0.1:9090")
    assert lines[0].startswith("  Grafana is missing, because its image could not be pulled;")
    assert sum("/graph?g0.expr=" in line for line in lines) == 6
    assert max(map(len, lines)) < 1000


def test_what_is_said_of_grafana() -> None:
    lines = introduction(GRAFANA, "http://127.0.0.1:3000")
    assert "http://127.0.0.1:3000/d/caplab-run" in lines[1]


def test_links_ask_of_everything_at_one_second_a_step() -> None:
    for link in links(DASHBOARDS, "http://here"):
        fields = parse_qs(urlsplit(link.url).query)
        assert fields["g0.step_input"] == ["1"]
        assert "$" not in fields["g0.expr"][0]
        assert expressions.read(fields["g0.expr"][0]).metrics
    assert of_all('x{a="$a",b=~"$b",c="d"}[$__range]') == 'x{a=~".*",b=~".*",c="d"}[15m]'


def test_a_checkout_without_the_dashboards_is_a_failure_with_its_hint(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"dashboards/overview\.json has no panel"):
        links(tmp_path, "http://here")


def test_the_port_forward_ends_with_the_block() -> None:
    with forwarded(fake(_SERVES)) as forward:
        assert forward.port > 0
        forward.check()
        pid = forward._process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_whether_it_answers_is_asked_of_it_and_of_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(dashboards, "_ANSWER_SECONDS", 2.0)
    with forwarded(fake(_SERVES)) as forward:
        dashboards._await_answer(forward, f"http://127.0.0.1:{forward.port}/api/health")


def test_one_that_does_not_come_about_is_told_in_kubectls_own_words() -> None:
    began = time.monotonic()
    with pytest.raises(Failure, match="The port-forward ended: error: lost connection to pod"), forwarded(fake(_ENDS)):
        pass
    assert time.monotonic() - began < 10


def test_one_that_ends_by_itself_is_told() -> None:
    once = "print('Forwarding from 127.0.0.1:1 -> 3000'); print('lost connection to pod')"
    with forwarded(fake(once)) as forward, pytest.raises(Failure, match="lost connection to pod"):
        forward.wait()


@pytest.fixture
def forwarding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("CAPLAB_CACHE", str(tmp_path))
    setup = SimpleNamespace(choice=SimpleNamespace(install=False), engine=None)
    monkeypatch.setattr(dashboards, "begin", lambda *_: setup)
    monkeypatch.setattr(dashboards, "built_tools", lambda _: None)
    monkeypatch.setattr(dashboards, "_deployments", lambda _: ["caplab-grafana"])
    monkeypatch.setattr(dashboards, "forward_command", lambda *_: fake(_SERVES))
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("forwarding")
def test_ctrl_c_is_how_it_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = io.StringIO()
    ended = []

    def interrupted(forward: dashboards.PortForward) -> str:
        if forward.port:
            ended.append(forward._process)
        raise KeyboardInterrupt

    wait = dashboards.PortForward.wait

    def waits(forward: dashboards.PortForward) -> None:
        monkeypatch.setattr(dashboards.PortForward, "_line", interrupted)
        wait(forward)

    monkeypatch.setattr(dashboards.PortForward, "wait", waits)
    dashboards.dashboards(Progress(tmp_path, out), Cache(tmp_path))
    assert "Grafana  http://127.0.0.1:" in out.getvalue()
    assert ended[0].poll() is not None


@pytest.mark.usefixtures("forwarding")
def test_a_cluster_without_any_of_it_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dashboards, "_deployments", lambda _: [])
    assert entry.main(["dashboards"]) == 1
    assert "FAILED: Neither Grafana nor Prometheus is in the cluster." in capsys.readouterr().err


def test_a_port_that_is_taken_is_not_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tools = SimpleNamespace(kubectl="kubectl")
    for free, wanted in ((True, "3000:3000"), (False, ":3000")):
        monkeypatch.setattr(dashboards, "_is_free", lambda _, free=free: free)
        command = dashboards.forward_command(tools, Cache(tmp_path), GRAFANA)  # type: ignore[arg-type]
        assert command[-2:] == ["deployment/caplab-grafana", wanted]
        assert command[command.index("--address") + 1] == "127.0.0.1"
