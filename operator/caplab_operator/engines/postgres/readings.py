"""Readings of a member's own Postgres, its settings and standbys: one statement, and its answer parsed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..answers import flag, text

AUTO_CONF = "postgresql.auto.conf"  # where ALTER SYSTEM writes
# $1: names of settings, separated by commas.
QUESTION = """
with wanted as (select string_to_array($1, ',') as names)
select json_build_object(
  'recovering', pg_is_in_recovery(),
  'follows', (select setting <> '' from pg_settings where name = 'primary_conninfo'),
  'streams_to', (select json_agg(application_name) from pg_stat_replication where state = 'streaming'),
  'settings', (select json_agg(json_build_array(
      lower(name), setting, coalesce(unit, ''), vartype, source, coalesce(sourcefile, ''), pending_restart))
    from pg_settings, wanted where lower(name) = any(names) or pending_restart),
  'lines', (select json_agg(json_build_array(
      lower(name), coalesce(setting, ''), sourcefile, applied, coalesce(error, '')) order by seqno)
    from pg_file_settings, wanted
    where lower(name) = any(names) or error is not null or sourcefile like '%/postgresql.auto.conf'),
  'overrides', (select json_agg(json_build_array(coalesce(r.rolname, ''), coalesce(d.datname, ''), s.setconfig))
    from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole
    left join pg_database d on d.oid = s.setdatabase)
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A row of pg_settings: a value in force, and its source."""

    name: str  # lower case
    value: str
    unit: str = ""
    kind: str = "string"  # pg_settings' vartype: bool, enum, integer, real, string
    source: str = "default"
    file: str = ""
    waits_for_restart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a configuration file as it is now; applied: it is in force, or will be after the next reload."""

    name: str
    value: str
    file: str
    applied: bool
    error: str

    @property
    def is_of_alter_system(self) -> bool:
        """Whether ALTER SYSTEM wrote it."""
        return self.file.rpartition("/")[2] == AUTO_CONF


@dataclass(frozen=True, slots=True)
class Override:
    """A setting of one role, of one database, or of both; '' stands for all of them."""

    role: str
    database: str
    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One member's own report at one moment."""

    settings: Mapping[str, Setting] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    overrides: tuple[Override, ...] = ()
    recovering: bool = False
    follows: bool = True  # whether it knows a server to stream from
    streams_to: frozenset[str] | None = None  # the names of the standbys that it streams to; None if unknown


def parse(answer: str) -> Reading:
    """Parse the one field of QUESTION's answer. Raises LookupError, TypeError or ValueError if it can't be parsed."""
    fields = json.loads(answer)
    settings = (_setting(row) for row in fields["settings"] or ())
    return Reading(
        settings={setting.name: setting for setting in settings},
        lines=tuple(_line(row) for row in fields["lines"] or ()),
        overrides=tuple(override for row in fields["overrides"] or () for override in _overrides(*row)),
        recovering=flag(fields["recovering"]),
        follows=flag(fields["follows"]),
        streams_to=frozenset(map(text, fields["streams_to"] or ())),
    )


def _setting(row: list[Any]) -> Setting:
    *texts, waits = row
    name, value, unit, kind, source, file = map(text, texts)
    return Setting(
        name=name, value=value, unit=unit, kind=kind, source=source, file=file, waits_for_restart=flag(waits)
    )


def _line(row: list[Any]) -> Line:
    name, value, file, applied, error = row
    return Line(name=text(name), value=text(value), file=text(file), applied=flag(applied), error=text(error))


def _overrides(role: Any, database: Any, assignments: Any) -> list[Override]:
    parts = (text(assignment).partition("=") for assignment in assignments)
    return [Override(text(role), text(database), name.lower(), value) for name, _, value in parts]
