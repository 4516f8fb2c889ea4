"""Postgres' exporter (Debian's prometheus-postgres-exporter): what it collects, once a second, and its login.

The connections that each scrape makes cost most; each further collector costs a statement. Collectors that go over
files (database sizes), or over each table, role or setting, are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..exporter import LOGIN, Exporter

_FILE = "postgres_exporter.yml"
_WITHOUT = ("database", "roles", "stat_user_tables", "statio_user_tables")
_WITH = (
    "locks", "replication", "replication_slot", "stat_bgwriter", "stat_checkpointer", "stat_database",
    "stat_wal_receiver", "wal",
)  # fmt: skip
_MODULE = {
    "type": "userpass",
    # The exporter waits for a member that is frozen or cut off only until the next scrape.
    "options": {
        "application_name": "caplab-exporter",
        "connect_timeout": "1",
        "dbname": "postgres",
        "sslmode": "disable",
        "statement_timeout": "1000",
    },
}


def _files(password: str) -> Mapping[str, str]:
    module = {**_MODULE, "userpass": {"username": LOGIN, "password": password}}
    return {_FILE: json.dumps({"auth_modules": {LOGIN: module}}, sort_keys=True)}  # JSON is YAML


EXPORTER = Exporter(
    command=(
        "prometheus-postgres-exporter",
        f"--config.file=/etc/caplab/{_FILE}",
        "--log.level=warn",
        "--disable-settings-metrics",
        *(f"--no-collector.{name}" for name in _WITHOUT),
        *(f"--collector.{name}" for name in _WITH),
    ),
    files=_files,
    variables={},
)
