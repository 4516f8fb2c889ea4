"""The role that Postgres' exporter logs in as: read back from the primary, and made what it is to be."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from caplab_operator.engines.pods import Pod
from caplab_operator.engines.postgres import monitor
from caplab_operator.engines.postgres.monitor import Role
from caplab_operator.handlers.postgres import monitor as postgres_monitor
from caplab_operator.handlers.postgres.monitor import Monitor
from support.operator.observed_postgres import SPEC, observed

# Of a server: create role monitor password 'mon2'.
KEPT = (
    "SCRAM-SHA-256$4096:5ho+YLUXEbXapy/+Re+sDQ==$lQoaawbIBHYXwunSWOmY7NWN7w3B3rPHnJOxLHlwTTI="
    ":m0wC1Xqejd0Wi5f3FNALOPRWW1ZoILUbzBh6V55Hpp0="
)
WELL = Role(True, KEPT, ("pg_monitor",), is_ours=True)


def corrections(role: Role | None) -> list[str]:
    return [statement.split(" password ")[0] for statement in monitor.corrections(role, "mon", lambda: "SCRAM")]


def test_a_password_is_known_by_what_the_server_keeps_of_it() -> None:
    assert monitor.is_of("mon", KEPT)
    assert not monitor.is_of("mon2", KEPT)
    endless = KEPT.replace("4096", "9" * 9)
    for unreadable in ("", "md5abc", "SCRAM-SHA-256$x:y$z", "SCRAM-SHA-256$4096:AA==$b", "SCRAM-SHA-256$1:AA==$ü",
                       "\udc00", endless):  # fmt: skip
        assert not monitor.is_of("mon", unreadable)


def test_a_role_that_is_as_it_should_be_is_left_alone() -> None:
    assert corrections(WELL) == []


def test_one_that_is_not_there_is_made_with_no_more_than_the_right_to_read_statistics() -> None:
    made, noted, altered, granted = corrections(None)
    assert (made, granted) == ("create role monitor", "grant pg_monitor to monitor")
    assert noted.startswith("comment on role monitor")
    for no in ("nosuperuser", "nocreaterole", "nocreatedb", "noreplication", "nobypassrls"):
        assert no in altered


@pytest.mark.parametrize(
    ("role", "begins"),
    [
        (Role(False, KEPT, ("pg_monitor",), True), "alter role monitor login nosuperuser"),
        (Role(True, "md5", ("pg_monitor",), True), "alter role monitor login nosuperuser"),
        (Role(True, KEPT, (), True), "grant pg_monitor to monitor"),
        (Role(True, KEPT, ("pg_monitor", 'pg_"x'), True), 'revoke "pg_""x" from monitor'),
    ],
    ids=["attributes", "password", "right lost", "right more"],
)
def test_what_somebody_changed_is_set_back(role: Role, begins: str) -> None:
    (statement,) = corrections(role)
    assert statement.startswith(begins)


def test_a_role_that_somebody_else_made_is_neither_changed_nor_dropped_and_that_is_logged_once(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = {"asWanted": False, "password": "md5", "memberOf": ["owners"], "isOurs": False}
    for password in ("mon", ""):
        held, sessions = Monitor(password), Sessions(role=theirs)
        for _ in range(3):
            keep(held, sessions)
            clock.now += 5
        assert sessions.run == []
    assert logged(caplog) == [
        "demo/pg: the role monitor: somebody else made it, so the exporter does not log in. Hint: rename it"
    ]


def test_it_is_taken_away_only_where_the_operator_made_it() -> None:
    assert monitor.removal(WELL) == ["drop role monitor"]
    assert monitor.removal(Role(True, KEPT, ("pg_monitor",), False)) == []
    assert monitor.removal(None) == []


def test_a_change_is_one_statement_that_waits_for_no_standby_and_no_log_shows_its_password() -> None:
    assert monitor.at_once(["a", "b"]) == "do $caplab$ begin set local synchronous_commit = local; a; b; end $caplab$"
    assert monitor.at_once(["a $caplab$"]).endswith("; a $caplab$; end $caplabx$")
    assert monitor.printable("alter role monitor login password 'SCRAM'") == "alter role monitor login"


@dataclass(kw_only=True)
class Sessions:
    """A primary whose role is as it was told."""

    role: dict[str, Any] | None = None
    answers: bool = True
    refuses: str = ""
    queries: list[str] = field(default_factory=list)
    run: list[str] = field(default_factory=list)

    def ask(self, pod: Pod, _superuser: str, _statement: str) -> str:
        self.queries.append(pod.name)
        return json.dumps(self.role) if self.answers else ""

    def change(self, pod: Pod, _superuser: str, statements: Sequence[str]) -> list[str]:
        self.run += [f"{pod.name}: {statement}" for statement in statements]
        if self.refuses:
            return [self.refuses]
        self.role = None if "drop" in statements[0] else WELL_ANSWER
        return []

    def encrypted(self, *_: object) -> str:
        return KEPT


WELL_ANSWER = {"asWanted": True, "password": KEPT, "memberOf": ["pg_monitor"], "isOurs": True}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(postgres_monitor, "time", clock)
    return clock


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged of the role: threads that other tests left behind may log too."""
    return [record.getMessage() for record in caplog.records if record.name == postgres_monitor.__name__]


def keep(held: Monitor, sessions: Sessions, look: Any = None) -> None:
    held.keep(SPEC, look or observed(), sessions, "su")  # type: ignore[arg-type]


def test_it_is_made_on_the_primary_at_the_first_look_and_asked_of_every_five_seconds(clock: SimpleNamespace) -> None:
    held, sessions = Monitor("mon"), Sessions()
    keep(held, sessions)
    (made,) = sessions.run
    assert made.startswith("pg-0: do $caplab$ begin set local synchronous_commit = local; create role monitor;")
    for _ in range(4):
        keep(held, sessions)
    assert sessions.queries == ["pg-0"]
    clock.now += 5
    keep(held, sessions)
    assert (len(sessions.queries), len(sessions.run)) == (2, 1)


@pytest.mark.usefixtures("clock")
def test_no_answer_is_not_taken_for_no_role_and_no_primary_is_asked_nothing() -> None:
    held, sessions = Monitor("mon"), Sessions(answers=False)
    keep(held, sessions)
    assert sessions.run == []
    for look in (observed(primary=None), observed(primary="pg-1", readings={"pg-1": None})):
        keep(held, sessions, look)
    assert sessions.queries == ["pg-0"]


@pytest.mark.parametrize("answer", ["x", "[]", "7", "{}", '"x"', "[" * 9999, json.dumps({
    "asWanted": 0, "password": [], "memberOf": 5, "isOurs": None}), json.dumps({
    "asWanted": 0, "password": {}, "memberOf": [[], 7, None], "isOurs": "x"})])  # fmt: skip
@pytest.mark.usefixtures("clock")
def test_no_answer_of_a_primary_ends_the_round(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions()
    monkeypatch.setattr(sessions, "ask", lambda *_: answer)
    keep(Monitor("mon"), sessions)


@pytest.mark.usefixtures("clock")
def test_nothing_is_done_while_the_password_is_not_known() -> None:
    sessions = Sessions()
    keep(Monitor(None), sessions)
    assert sessions.queries == []


def test_where_there_is_to_be_none_it_is_dropped_once_and_then_not_looked_for(clock: SimpleNamespace) -> None:
    held, sessions = Monitor(""), Sessions(role=WELL_ANSWER)
    keep(held, sessions)
    assert sessions.run == [
        "pg-0: do $caplab$ begin set local synchronous_commit = local; drop role monitor; end $caplab$"
    ]
    for _ in range(3):
        clock.now += 5
        keep(held, sessions)
    assert len(sessions.queries) == 2


def test_what_is_refused_again_and_again_is_logged_once(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    held, sessions = Monitor(""), Sessions(role=WELL_ANSWER, refuses="role monitor owns objects")
    for _ in range(3):
        keep(held, sessions)
        clock.now += 5
    assert logged(caplog) == ["demo/pg: the role monitor: drop role monitor: refused: role monitor owns objects"]
    assert len(sessions.run) == 3
    sessions.refuses = "another reason"
    keep(held, sessions)
    assert len(logged(caplog)) == 2
