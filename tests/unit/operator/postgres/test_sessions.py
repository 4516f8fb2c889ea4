"""The operator's connections to members' own Postgres: bounded, kept, and honest about what they were told."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from caplab_operator.engines.postgres import sessions, sql
from caplab_operator.engines.postgres.readings import Reading
from caplab_operator.engines.postgres.sessions import Sessions, log_in
from caplab_operator.engines.postgres.sql import Session, SqlError
from support.databases.fake_postgres import FakeServer, response, rows
from support.databases.loopback import listening, silent
from support.operator.observed_postgres import pod

MEMBER = pod("pg-0", address="127.0.0.1")
ANSWER: dict[str, Any] = {
    "recovering": False,
    "follows": True,
    "streams_to": ["pg-1"],
    "settings": [["fsync", "off", "", "bool", "configuration file", "/data/pg/postgresql.auto.conf", False]],
    "lines": [["fsync", "off", "/data/pg/postgresql.auto.conf", True, ""]],
    "overrides": [["caplab", "", ["synchronous_commit=off", "search_path=a=b"]]],
}


def with_server(monkeypatch: pytest.MonkeyPatch, fake: FakeServer, ask: Callable[[], Any]) -> Any:
    """What comes of asking such a server."""

    async def run() -> Any:
        async with listening(fake):
            monkeypatch.setattr(sql, "POSTGRES_PORT", fake.port)
            return await asyncio.to_thread(ask)

    return asyncio.run(run())


def with_silence(monkeypatch: pytest.MonkeyPatch, ask: Callable[[], Any]) -> Any:
    async def run() -> Any:
        async with silent() as port:
            monkeypatch.setattr(sql, "POSTGRES_PORT", port)
            return await asyncio.to_thread(ask)

    return asyncio.run(run())


def session(seconds: float = 5.0) -> Session:
    return Session("127.0.0.1", "postgres", "pw", "postgres", seconds)


def answered(**changes: Any) -> FakeServer:
    return FakeServer(reply=rows(json.dumps({**ANSWER, **changes}).replace("|", "").encode()))


def test_a_statement_has_its_values_and_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeServer(reply=rows(b"a|b"))
    values = with_server(monkeypatch, fake, lambda: session().ask("select $1", "x", seconds=5))
    assert values == [["a", "b"]]
    assert (fake.statements, fake.bound) == (["select $1"], [[b"x"]])


def test_a_refusal_has_its_code_and_the_connection_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeServer(replies=[response(b"E", b"ERROR", b"42501")], reply=rows(b"1"))

    def ask() -> tuple[str, bool, list[list[str | None]]]:
        mine = session()
        with pytest.raises(SqlError) as refused:
            mine.ask("alter system", seconds=5)
        return refused.value.sqlstate, mine.is_open, mine.ask("select 1", seconds=5)

    assert with_server(monkeypatch, fake, ask) == ("42501", True, [["1"]])


def test_a_server_that_takes_connections_and_says_nothing_is_waited_for_no_longer_than_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ask() -> float:
        began = time.monotonic()
        with pytest.raises(SqlError, match="no answer in time"):
            session(0.1)
        return time.monotonic() - began

    assert with_silence(monkeypatch, ask) < 2.0


def test_an_answer_that_is_late_is_never_taken_for_that_of_the_next_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask() -> bool:
        mine = session()
        with pytest.raises(SqlError, match="no answer in time"):
            mine.ask("select 1", seconds=0.1)
        return mine.is_open

    async def run() -> bool:
        async with listening(FakeServer(hang=asyncio.Event())) as fake:
            monkeypatch.setattr(sql, "POSTGRES_PORT", fake.port)
            return await asyncio.to_thread(ask)

    assert asyncio.run(run()) is False


def test_a_connection_that_is_lost_or_refused_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose() -> bool:
        mine = session()
        with pytest.raises(SqlError):
            mine.ask("select 1", seconds=5)
        return mine.is_open

    assert with_server(monkeypatch, FakeServer(close_instead=True), lose) is False
    with pytest.raises(SqlError):
        with_server(monkeypatch, FakeServer(accept=False), session)
    monkeypatch.setattr(sql, "POSTGRES_PORT", 1)
    with pytest.raises(SqlError):
        session()


def test_a_member_says_its_settings_over_one_connection_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, fake = Sessions(), answered()

    def look() -> list[dict[str, Reading | str]]:
        return [kept.look([MEMBER], "pw", ["work_mem"]) for _ in range(3)]

    own_reading = with_server(monkeypatch, fake, look)[-1]["pg-0"]
    assert fake.connections == 1
    assert fake.bound[0] == [b"fsync,full_page_writes,synchronous_commit,synchronous_standby_names,wal_level,work_mem"]
    assert (own_reading.settings["fsync"].value, own_reading.settings["fsync"].waits_for_restart) == ("off", False)
    assert own_reading.streams_to == {"pg-1"}
    assert own_reading.lines[0].is_of_alter_system
    assert [(override.role, override.name, override.value) for override in own_reading.overrides] == [
        ("caplab", "synchronous_commit", "off"),
        ("caplab", "search_path", "a=b"),
    ]


def test_a_connection_for_which_something_else_holds_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting of the operator's own role hides the file's value until it logs in again."""
    kept = Sessions()
    fake = answered(settings=[["synchronous_commit", "off", "", "enum", "user", "", False]])
    with_server(monkeypatch, fake, lambda: [kept.look([MEMBER], "pw", []) for _ in range(2)])
    assert fake.connections == 2


def test_who_is_silent_or_cannot_be_read_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_LOOK_SECONDS", 0.1)
    assert with_silence(monkeypatch, lambda: Sessions().look([MEMBER], "pw", [])) == {"pg-0": "no answer in time"}
    garbage = FakeServer(reply=rows(b"no json"))
    readings = with_server(monkeypatch, garbage, lambda: Sessions().look([MEMBER], "pw", []))
    assert readings == {"pg-0": "its answer can't be read"}
    assert Sessions().look([pod("pg-1", address=None)], "pw", []) == {"pg-1": "it has no address yet"}
    assert Sessions().look([], "pw", []) == {}


def test_a_pod_that_is_gone_leaves_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, fake = Sessions(), answered()

    def look() -> int:
        kept.look([MEMBER], "pw", [])
        kept.look([], "pw", [])
        return len(kept._kept)

    assert with_server(monkeypatch, fake, look) == 0


def test_changes_go_one_by_one_and_what_is_refused_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeServer(replies=[response(b"E", b"ERROR", b"42501")])
    refused = with_server(monkeypatch, fake, lambda: Sessions().change(MEMBER, "pw", ["one", "two"]))
    assert (fake.statements, refused) == (["one", "two"], ["text"])
    assert Sessions().change(pod("pg-1", address=None), "pw", ["one"]) == ["it has no address yet"]


def test_clients_log_in_or_it_is_told_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def try_it() -> SqlError | None:
        return log_in(MEMBER, "caplab", "pw", "caplab")

    assert with_server(monkeypatch, FakeServer(reply=rows(b"1")), try_it) is None
    assert isinstance(with_server(monkeypatch, FakeServer(accept=False), try_it), SqlError)
    assert isinstance(with_server(monkeypatch, FakeServer(reply=response(b"E", b"ERROR", b"57014")), try_it), SqlError)
    assert str(log_in(pod("pg-0", address=None), "caplab", "pw", "caplab")) == "it has no address yet"


def test_a_login_that_is_refused_is_known_by_its_words() -> None:
    """libpq has no code for it."""
    refusal = (
        'connection to server at "10.0.0.1", port 5432 failed: FATAL:  password authentication failed for user "x"'
    )
    assert sql._login_refusal(refusal) == "28P01"
    assert sql._login_refusal("FATAL:  sorry, too many clients already") == ""
