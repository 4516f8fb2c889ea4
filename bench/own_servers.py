"""Database servers of a measurement's own, on ports of loopback, stopped and removed with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

DATABASE = "bench"
PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/bin"))  # Debian's newest
_CONNECTIONS = 300


@contextmanager
def own_postgres(programs: Path, port: int, replicas: int = 0) -> Iterator[None]:
    """Run a fresh Postgres on a port, with so many streaming replicas on the next ones."""
    with tempfile.TemporaryDirectory(prefix="caplab-bench-") as folder, ExitStack() as servers:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        _run(folder, programs / "initdb", "-D", f"{folder}/0", "-A", "trust", "-U", "bench")
        servers.enter_context(_started(programs, folder, "0", port))
        with psycopg.connect(dsn(port, "postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
        with psycopg.connect(dsn(port), autocommit=True) as connection:
            connection.execute("CREATE TABLE bench (value bigint)")
        for number in range(1, replicas + 1):
            source = ("-h", "127.0.0.1", "-p", str(port), "-U", "bench", "-c", "fast", "-X", "stream")
            _run(folder, programs / "pg_basebackup", *source, "-R", "-D", f"{folder}/{number}")
            servers.enter_context(_started(programs, folder, str(number), port + number))
        yield


@contextmanager
def _started(programs: Path, folder: str, name: str, port: int) -> Iterator[None]:
    data = f"{folder}/{name}"
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections={_CONNECTIONS}"
    _run(folder, programs / "pg_ctl", "-D", data, "-w", "-l", f"{data}.log", "-o", options, "start")
    try:
        yield
    finally:
        _run(folder, programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")


def _run(folder: str, *command: str | Path) -> None:
    """Run one of Postgres' programs, which do not run as root."""
    user = "postgres" if os.geteuid() == 0 else None
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, user=user, group=user)


def dsn(port: int, database: str = DATABASE) -> str:
    """Return the connection string of a Postgres."""
    return f"host=127.0.0.1 port={port} user=bench dbname={database}"


@contextmanager
def own_redis(port: int) -> Iterator[None]:
    """Run a fresh Redis on a port, with a replica on the next one."""
    with tempfile.TemporaryDirectory(prefix="caplab-bench-") as folder:
        servers = [_redis(folder, port), _redis(folder, port + 1, "--replicaof", "127.0.0.1", str(port))]
        try:
            _wait_for_replica(port)
            yield
        finally:
            for server in servers:
                server.kill()
                server.wait()


def _redis(folder: str, port: int, *options: str) -> subprocess.Popen[bytes]:
    """Start one server that keeps nothing on disk."""
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
    return subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)


def _wait_for_replica(port: int) -> None:
    """Wait until one write has reached a replica."""
    for _ in range(100):
        write = ["redis-cli", "-p", str(port), "eval", "redis.call('SET', 'ready', 1)", "0"]
        subprocess.run(write, check=False, capture_output=True)
        wait = ["redis-cli", "-p", str(port), "wait", "1", "100"]
        if subprocess.run(wait, check=False, capture_output=True).stdout.strip() == b"1":
            return
        time.sleep(0.1)
    raise TimeoutError("the replica does not receive writes")
