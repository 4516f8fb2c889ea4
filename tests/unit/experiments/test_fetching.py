"""Histories asked of probers that may not be there yet, and scans that may fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from caplab_probes.history.reading import arrow_stream
from chaoscaplab.probes import histories, loads
from chaoscaplab.probes.histories import (
    ProberUsage,
    event_loop_stalls,
    fetch_clock,
    fetch_history,
    fetch_scan,
    fetch_when_up,
    prober_usage,
)
from chaoscaplab.probes.loads import Loads
from chaoscaplab.server import Server
from chaoscaplab.waiting import NotInTime
from support.checkers.histories import adds, table

from caplab.kube.errors import NoAnswer, Refused

ANCHOR = {"monotonic_ns": 5, "unix_ns": 9}
AWAY: tuple[Exception, ...] = (
    LookupError("There is no prober in zone b. Hint: make up."),
    Refused(503, "Service Unavailable"),
    NoAnswer("the connection was closed in the middle", "GET /api/v1"),
)


def serving(pages: dict[str, bytes], problems: list[Exception]) -> Any:
    """A Server whose probers have so many problems first, each told once."""

    class Away(Server):
        def __init__(self) -> None:
            self.asked: list[tuple[str, str]] = []

        def fetch(self, vantage: str, path: str) -> bytes:
            self.asked.append((vantage, path))
            if problems:
                raise problems.pop(0)
            return pages[path.rpartition("/")[2]]

    return Away()


PAGES = {
    "history.arrow": arrow_stream(table(adds([1, 2]))),
    "scans.json": json.dumps(
        [{"workload": "set-scan", "primary": True, "server": "pg-0", "elements": 2, "problem": "", "invoke_ns": 3}]
    ).encode(),
    "metas.json": json.dumps([{"boot_id": "boot", "wall_anchor": ANCHOR}]).encode(),
    "metrics": b"# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total 1.5\n"
    b'# TYPE caplab_prober_stall_seconds counter\ncaplab_prober_stall_seconds_total{vantage="a"} 0.25\n',
}
CALLS: tuple[Callable[[Any], Any], ...] = (
    lambda server: fetch_history(server, "ns", "r-1", ("a", "b")),
    lambda server: fetch_scan(server, "ns", "r-1", "b", ""),
    lambda server: fetch_clock(server, "ns", "r-1", "b"),
    lambda server: prober_usage(server, "b"),
)


@pytest.mark.parametrize("call", CALLS)
def test_a_prober_that_is_not_back_yet_is_waited_for(call: Callable[[Any], Any]) -> None:
    server = serving(PAGES, list(AWAY))
    assert call(server)
    assert len(server.asked) > len(AWAY)


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        (AWAY[0], "There is no prober in zone b. Hint: make up."),
        (AWAY[1], "503 Service Unavailable"),
        (AWAY[2], "closed in the middle"),
    ],
)
def test_a_prober_that_does_not_come_back_ends_the_wait_with_what_came_instead(
    problem: Exception, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "ANSWER_SECONDS", 0.0)
    with pytest.raises(NotInTime, match=r"prober of zone b answers for runs/r-1/x") as raised:
        fetch_when_up(serving({}, [problem] * 99), "b", "runs/r-1/x")
    assert says in str(raised.value)


def test_what_a_prober_itself_says_is_one_line_of_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "ANSWER_SECONDS", 0.0)
    refused = Refused(
        404, "Not Found", "This prober has no run 'r-1'. Hint: ask a vantage of the run, before the run is pruned.\n"
    )
    with pytest.raises(NotInTime) as raised:
        fetch_when_up(serving({}, [refused] * 99), "b", "runs/r-1/x")
    assert str(raised.value).endswith(
        "404 Not Found: This prober has no run 'r-1'. Hint: ask a vantage of the run, before the run is pruned."
    )
    assert "\n" not in str(raised.value)


def entry(phase: str, error: str = "") -> dict[str, Any]:
    return {"status": {"vantages": [{"name": "b", "phase": phase, "lastError": error}]}}


class Objects(Server):
    """Probe objects as their vantage says they stand, by their names."""

    def __init__(self, stand: dict[str, dict[str, Any]]) -> None:
        self.stand, self.made = stand, list[tuple[str, dict[str, Any]]]()

    def apply(self, kind: str, namespace: str, name: str, spec: Any) -> dict[str, Any]:
        self.made.append((name, dict(spec)))
        return {}

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        return self.stand.get(name) and {"metadata": {"name": name}, "spec": dict(self.made)[name], **self.stand[name]}


def loads_on(server: Server) -> Loads:
    return Loads(
        server=server,
        namespace="ns",
        target={"kind": "PostgresCluster", "name": "pg"},
        run_id="r-9",
        vantages=("a", "b"),
        seed=0,
    )


def test_all_scans_are_under_way_before_one_is_waited_for_and_only_at_their_vantage() -> None:
    server = Objects({f"final-{name}-9": entry("Done") for name in ("set-scan", "register-scan")})
    assert loads_on(server).scan_all(("set-scan", "register-scan"), "b", ["direct"]) == {}
    assert [(name, spec["workload"], spec["vantages"], spec["routes"]) for name, spec in server.made] == [
        ("final-set-scan-9", "set-scan", ["b"], ["direct"]),
        ("final-register-scan-9", "register-scan", ["b"], ["direct"]),
    ]
    assert {spec["runId"] for _, spec in server.made} == {"r-9"}


def test_a_scan_that_fails_or_never_ends_is_told_and_the_others_are_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loads, "_SCAN_SECONDS", 0.0)
    stand = {
        "final-set-scan-9": entry("Failed", "pg-0: timed out"),
        "final-register-scan-9": entry("Running"),
        "final-counter-scan-9": entry("Done"),
    }
    failed = loads_on(Objects(stand)).scan_all(("set-scan", "register-scan", "counter-scan"), "b", ["direct"])
    assert sorted(failed) == ["register-scan", "set-scan"]
    assert failed["set-scan"].endswith("pg-0: timed out")
    assert failed["register-scan"].startswith("Gave up after 0 s waiting until final-register-scan is done")


def test_what_a_prober_took_and_stood_still_is_read_from_its_metrics() -> None:
    usage = prober_usage(serving(PAGES, []), "a")
    assert (usage.cpu_seconds, usage.stall_seconds) == (1.5, 0.25)


@pytest.mark.parametrize("name", ["process_cpu_seconds_total", "caplab_prober_stall_seconds_total"])
def test_a_prober_that_does_not_tell_it_is_named_with_what_is_missing(name: str) -> None:
    other = PAGES["metrics"].replace(name.encode(), b"something_else_total")
    with pytest.raises(LookupError, match=rf"zone a does not export {name}. Hint: make up."):
        prober_usage(serving({**PAGES, "metrics": other}, []), "a")


def test_stalls_are_those_between_two_looks() -> None:
    before = {"a": ProberUsage(1, 1, 2.0), "b": ProberUsage(1, 1, 0.5), "c": ProberUsage(1, 1, 1.0)}
    after = {"a": ProberUsage(2, 2, 5.25), "b": ProberUsage(2, 2, 0.5)}  # that of c died
    assert event_loop_stalls(before, after) == {"a": 3.25}
