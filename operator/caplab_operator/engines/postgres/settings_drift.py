"""The statements that take back what somebody changed by hand: pure.

What a cluster is to be like is its spec; so all that ALTER SYSTEM wrote goes, on every member, and all that keeps
less than is promised for one role or one database.
"""

from __future__ import annotations

from .durability import weak_overrides
from .readings import Override, Reading

RELOAD = "select pg_reload_conf()"


def system_resets(reading: Reading) -> list[str]:
    """For this member alone, each a transaction of its own; afterwards it has to RELOAD."""
    names = dict.fromkeys(line.name for line in reading.lines if line.is_of_alter_system and line.name)
    return [f"alter system reset {_dotted(name)}" for name in names]


def override_resets(reading: Reading) -> list[str]:
    """For the primary, from where it reaches the others."""
    return [f"alter {_whose(override)} reset {_dotted(override.name)}" for override in weak_overrides(reading)]


def new_password(role: str, encrypted: str) -> str:
    """Let a role log in with this password, encrypted as the server keeps it."""
    return f"alter role {_quoted(role)} login password '{encrypted}'"


def _whose(override: Override) -> str:
    if override.database and not override.role:
        return f"database {_quoted(override.database)}"
    role = f"role {_quoted(override.role) if override.role else 'all'}"
    return f"{role} in database {_quoted(override.database)}" if override.database else role


def _dotted(name: str) -> str:
    return ".".join(_quoted(part) for part in name.split("."))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
