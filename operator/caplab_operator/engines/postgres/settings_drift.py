"""Statements that undo settings drift, that is changes by hand. Pure.

The spec decides: so all that ALTER SYSTEM wrote is reset, on every member, and so is every override for a role or a
database that keeps less than is promised.
"""

from __future__ import annotations

from .durability import weak_overrides
from .readings import Override, Reading

RELOAD = "select pg_reload_conf()"


def system_resets(reading: Reading) -> list[str]:
    """Return statements for this member alone, each a transaction of its own; run RELOAD after them."""
    names = dict.fromkeys(line.name for line in reading.lines if line.is_of_alter_system and line.name)
    return [f"alter system reset {_dotted(name)}" for name in names]


def override_resets(reading: Reading) -> list[str]:
    """Return statements for the primary, from which they are replicated."""
    return [f"alter {_scope(override)} reset {_dotted(override.name)}" for override in weak_overrides(reading)]


def new_password(role: str, encrypted: str) -> str:
    """Return the statement that lets a role log in with this password, which is in the server's stored form."""
    return f"alter role {_quoted(role)} login password '{encrypted}'"


def _scope(override: Override) -> str:
    if override.database and not override.role:
        return f"database {_quoted(override.database)}"
    role = f"role {_quoted(override.role) if override.role else 'all'}"
    return f"{role} in database {_quoted(override.database)}" if override.database else role


def _dotted(name: str) -> str:
    return ".".join(_quoted(part) for part in name.split("."))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
