"""A connection to a member's own Postgres, in which every wait has a time-out."""

from __future__ import annotations

import select
import time
from collections.abc import Sequence

from caplab_wire.bounded import MAX_BYTES, received_bytes
from psycopg import conninfo
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, PGconn, PollingStatus
from psycopg.pq.abc import PGconn as Connection
from psycopg.pq.abc import PGresult

from .manifests import POSTGRES_PORT

# The server gives up by itself too, so that no statement goes on after its client has gone.
_STATEMENT_MILLISECONDS = 2000
# libpq keeps unrequested data, such as notifications: a connection that has received this much is replaced.
_MAX_KEPT_BYTES = 64 << 20
_LOGIN_REFUSALS = {"password authentication failed": "28P01", "is not permitted to log in": "28000"}
_GOOD = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class SqlError(Exception):
    """A member's Postgres did not do what it was asked; sqlstate is '' if it did not answer at all."""

    def __init__(self, text: str, sqlstate: str = "") -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


class Session:
    """A connection with time-outs; psycopg's own would wait for ever for a frozen server."""

    def __init__(self, address: str, user: str, password: str, database: str, seconds: float) -> None:
        info = conninfo.make_conninfo(
            hostaddr=address,
            port=POSTGRES_PORT,
            user=user,
            password=password,
            dbname=database,
            application_name="caplab-operator",
            client_encoding="utf8",
            sslmode="disable",
            gssencmode="disable",
            options=f"-c statement_timeout={_STATEMENT_MILLISECONDS}",
        )
        self._begun_bytes = 0  # received before the current answer
        self._connection: Connection = PGconn.connect_start(info.encode())
        try:
            self._connect(time.monotonic() + seconds)
        except BaseException:
            self.close()
            raise

    def ask(self, statement: str, *values: str, seconds: float) -> list[list[str | None]]:
        """Run a statement, whose $1, $2, ... are values, and return its rows. Raises SqlError, also over a bound."""
        end = time.monotonic() + seconds
        try:
            self._begun_bytes = received_bytes(self._connection.socket)
            self._connection.send_query_params(statement.encode(), [value.encode() for value in values])
            while self._connection.flush():
                self._wait(end, writing=True)
            return self._rows(end)
        except SqlError as error:
            if not error.sqlstate:
                self.close()  # a late answer must not be taken for the next one
            raise
        except Exception as error:  # psycopg's own, where the connection is lost
            self.close()
            raise SqlError(str(error).strip()) from error
        finally:
            if self.is_open and received_bytes(self._connection.socket) > _MAX_KEPT_BYTES:
                self.close()

    @property
    def is_open(self) -> bool:
        """Whether the connection is usable."""
        return self._connection.status == ConnStatus.OK

    def encrypted(self, user: str, password: str) -> str:
        """Return a password in the server's stored form, so that no log can show it."""
        return self._connection.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._connection.finish()

    def _connect(self, end: float) -> None:
        while True:
            if self._connection.status == ConnStatus.BAD:
                break
            state = self._connection.connect_poll()
            if state == PollingStatus.OK:
                self._connection.nonblocking = 1
                return
            if state == PollingStatus.FAILED:
                break
            self._wait(end, writing=state == PollingStatus.WRITING)
        text = self._connection.error_message.decode(errors="replace").strip()
        raise SqlError(text.partition(" failed: ")[2] or text or "no connection", _login_refusal(text))

    def _wait(self, end: float, writing: bool = False) -> None:
        left, socket = end - time.monotonic(), self._connection.socket
        poll = select.poll()  # select itself knows no descriptor beyond 1023
        poll.register(socket, select.POLLIN | (select.POLLOUT if writing else 0))
        if left <= 0 or not poll.poll(left * 1000):
            raise SqlError("no answer in time")
        # libpq reads all there is: this check before it keeps it from holding much more than the bound.
        if received_bytes(socket) - self._begun_bytes > MAX_BYTES:
            raise SqlError(f"the answer is over {MAX_BYTES:,} bytes")

    def _rows(self, end: float) -> list[list[str | None]]:
        rows: list[list[str | None]] = []
        problem: SqlError | None = None
        while True:
            while self._connection.is_busy():
                self._wait(end)
                self._connection.consume_input()
            result = self._connection.get_result()
            if result is None:
                break
            if result.status in _GOOD:
                rows = _texts(result)
            else:
                problem = _refusal(result)
        if problem:
            raise problem
        return rows


def _login_refusal(text: str) -> str:
    """Return the sqlstate of a refused login, which libpq reports only in words; '' for another error."""
    return next((state for words, state in _LOGIN_REFUSALS.items() if words in text), "")


def _texts(result: PGresult) -> list[list[str | None]]:
    def text(row: int, column: int) -> str | None:
        value = result.get_value(row, column)
        return None if value is None else value.decode(errors="replace")

    columns: Sequence[int] = range(result.nfields)
    return [[text(row, column) for column in columns] for row in range(result.ntuples)]


def _refusal(result: PGresult) -> SqlError:
    state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
    primary = result.error_field(DiagnosticField.MESSAGE_PRIMARY)
    return SqlError((primary or result.error_message).decode(errors="replace").strip(), state)
