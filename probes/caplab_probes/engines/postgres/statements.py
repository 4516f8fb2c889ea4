"""SQL of the Postgres client: its tables, and the one statement of each operation (pure).

A beat is CALL caplab_beat: the server commits a row with its own time and timeline, and then records when that
commit had completed, with its wait for a standby. So the earliest committed_at of a timeline is the first completed
commit after a failover, by the server's own clock. PL/pgSQL may commit within a CALL that is in no transaction
(manual, 43.8).
"""

from __future__ import annotations

from ...load.workloads import Operation, is_beat, run_of

BEAT_BODY = """
    BEGIN
        INSERT INTO caplab_clock VALUES (this_run, this_value,
            substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), clock_timestamp(), NULL);
        COMMIT;
        UPDATE caplab_clock SET committed_at = clock_timestamp() WHERE run = this_run AND value = this_value;
    END """
# A load costs what a query costs that waits for a disk or a lock, and not this machine's processor time: there are so
# many places, each of which does one load at a time. The place is drawn, as requests are spread over disks.
LOAD_BODY = """
    BEGIN
        PERFORM pg_advisory_xact_lock(1718510945, floor(random() * places)::int);
        PERFORM pg_sleep(milliseconds / 1000.0);
        RETURN (SELECT version FROM caplab_register WHERE key = this_key);
    END """
# No unique constraint on set and clock: a statement that ran twice must show, not fail.
# Two vantages that prepare at the same time may fail because of each other (23505 of a catalog's index; XX000, tuple
# concurrently updated): preparing is tried again, and then everything is there.
TABLES = (
    "CREATE TABLE IF NOT EXISTS caplab_set (value bigint NOT NULL)",
    "CREATE INDEX IF NOT EXISTS caplab_set_value ON caplab_set (value)",
    "CREATE TABLE IF NOT EXISTS caplab_register (key text PRIMARY KEY, version bigint NOT NULL)",
    "CREATE TABLE IF NOT EXISTS caplab_counter (key text PRIMARY KEY, n bigint NOT NULL)",
    "CREATE TABLE IF NOT EXISTS caplab_txn_list (key text PRIMARY KEY, elements bigint[] NOT NULL)",
    "CREATE TABLE IF NOT EXISTS caplab_txn_register (key text PRIMARY KEY, value bigint NOT NULL)",
    "CREATE SEQUENCE IF NOT EXISTS caplab_id",
    "CREATE TABLE IF NOT EXISTS caplab_clock (run bigint NOT NULL, value bigint NOT NULL, timeline text NOT NULL,"
    " executed_at timestamptz NOT NULL, committed_at timestamptz)",
    "CREATE INDEX IF NOT EXISTS caplab_clock_run_value ON caplab_clock (run, value)",
    f"CREATE OR REPLACE PROCEDURE caplab_beat(this_run bigint, this_value bigint) LANGUAGE plpgsql AS $${BEAT_BODY}$$",
    "CREATE OR REPLACE FUNCTION caplab_load(this_key text, milliseconds int, places int) RETURNS bigint"
    f" LANGUAGE plpgsql AS $${LOAD_BODY}$$",
)
# Whether all of it is there, procedure and function with the bodies $1 and $2, on a primary. This is asked first: even
# if nothing is missing, CREATE INDEX takes a lock that writes wait for, and CREATE OR REPLACE is a commit, which hangs
# while there is no standby, and mostly fails for two of three vantages that come at the same time.
PREPARED = (
    "SELECT NOT pg_is_in_recovery() AND to_regclass('caplab_set_value') IS NOT NULL"
    " AND to_regclass('caplab_register') IS NOT NULL AND to_regclass('caplab_clock_run_value') IS NOT NULL"
    " AND to_regclass('caplab_counter') IS NOT NULL AND to_regclass('caplab_id') IS NOT NULL"
    " AND to_regclass('caplab_txn_list') IS NOT NULL AND to_regclass('caplab_txn_register') IS NOT NULL"
    " AND EXISTS (SELECT FROM pg_proc WHERE oid = to_regprocedure('caplab_beat(bigint, bigint)') AND prosrc = $1)"
    " AND EXISTS (SELECT FROM pg_proc WHERE oid = to_regprocedure('caplab_load(text, int, int)') AND prosrc = $2)"
)
# The insertion timeline: the control file's lags behind until the first checkpoint after a promotion.
IDENTITY = (
    "SELECT host(inet_server_addr()), CASE WHEN pg_is_in_recovery() THEN NULL"
    " ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END"
)
SCAN_SET = "SELECT NULL, value FROM caplab_set WHERE value >= $1 AND value < $2 ORDER BY value"
SCAN_REGISTERS = "SELECT key, version FROM caplab_register WHERE starts_with(key, $1) ORDER BY key"
SCAN_COUNTERS = "SELECT key, n FROM caplab_counter WHERE starts_with(key, $1) ORDER BY key"
# The server's position in its write-ahead log, and whether it is a primary. The log has all of an earlier snapshot.
_LSN = (
    "(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END"
    " - '0/0'::pg_lsn)::bigint"
)
POSITION = f"SELECT {_LSN}, NOT pg_is_in_recovery()"
LOAD = "SELECT caplab_load($1, $2, $3)"
_ADD = "INSERT INTO caplab_set VALUES ($1)"
_BEAT = "CALL caplab_beat($1, $2)"
# An older write that a time-out left behind must not undo a newer one of the same writer.
_WRITE = (
    "INSERT INTO caplab_register AS was VALUES ($1, $2) ON CONFLICT (key)"
    " DO UPDATE SET version = excluded.version WHERE was.version < excluded.version"
)
_WRITE_ANY = "INSERT INTO caplab_register VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET version = excluded.version"
# Compare and set as one UPDATE of the row, whatever it holds. Under READ COMMITTED an UPDATE that had to wait for
# another one's lock goes on with the row as that one left it (manual, 13.2.1), and RETURNING shows this very row: it
# holds the new value if the expected one was there, else the value found. With the condition in WHERE nothing would be
# returned if it does not hold, and a SELECT in the same statement shows the row as it was before the wait.
_CAS = (
    "UPDATE caplab_register SET version = CASE version WHEN $3 THEN $2 ELSE version END"
    " WHERE key = $1 RETURNING version"
)
# The same if nothing is expected: DO NOTHING would return nothing of the row that is there.
_CAS_FIRST = (
    "INSERT INTO caplab_register AS was VALUES ($1, $2) ON CONFLICT (key)"
    " DO UPDATE SET version = was.version RETURNING version"
)
_INCR = "INSERT INTO caplab_counter AS was VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET n = was.n + excluded.n"
_ID = "SELECT nextval('caplab_id')"
_READ = "SELECT version FROM caplab_register WHERE key = $1"
_READ_COUNTER = "SELECT n FROM caplab_counter WHERE key = $1"


def statement_of(operation: Operation, with_lsn: bool = False) -> tuple[str, tuple[str | int, ...]]:
    """Return an operation's one statement and its parameters; with with_lsn a read returns the position in column 2."""
    key, value = operation.key or "", operation.value or 0
    if operation.op == "read":
        read = _READ_COUNTER if operation.workload == "counter" else _READ
        return (f"SELECT ({read}), {_LSN}" if with_lsn else read), (key,)
    if operation.op == "add":
        return _ADD, (value,)
    if is_beat(operation):
        return _BEAT, (run_of(value), value)
    return _keyed(operation, key, value)


def _keyed(operation: Operation, key: str, value: int) -> tuple[str, tuple[str | int, ...]]:
    if operation.op == "id":
        return _ID, ()
    if operation.op == "incr":
        return _INCR, (key, value)
    if operation.op == "cas":
        return (_CAS_FIRST, (key, value)) if operation.expected is None else (_CAS, (key, value, operation.expected))
    return (_WRITE_ANY if operation.workload == "register-multi" else _WRITE), (key, value)
