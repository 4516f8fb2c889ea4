"""Durability of acknowledged commits, from the settings of all members. Pure.

A commit is as safe as the weakest member that is, or may become, the primary: so every member's own settings
count, and so do those that apply to one role or one database only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..conditions import ConditionState
from . import health, patroni
from .observe import ObservedPostgres
from .readings import AUTO_CONF, Override, Reading, Setting
from .spec import PostgresSpec

STANDBY_NAMES = "synchronous_standby_names"
# The values that keep what spec.durability promises.
_SAFE: Mapping[str, frozenset[str]] = {
    "fsync": frozenset({"on"}),
    "full_page_writes": frozenset({"on"}),
    "synchronous_commit": frozenset({"on", "remote_apply"}),
    "wal_level": frozenset({"replica", "logical"}),
}
NAMES: Sequence[str] = (*_SAFE, STANDBY_NAMES)
# Sources in pg_settings of values that are the asking session's own.
OF_A_SESSION = frozenset({"client", "database", "database user", "global", "override", "session", "user"})
OTHER = "other"


def weaknesses(readings: Mapping[str, Reading]) -> list[str]:
    """Describe every setting that keeps less than is promised: its member, its value, and the source of that."""
    texts: dict[str, None] = {}  # in the order they were found, each once
    for member, reading in sorted(readings.items()):
        for text in _weak_settings(reading):
            texts[f"{member}: {text}"] = None
    for reading in readings.values():
        for override in weak_overrides(reading):
            texts[f"{override.name} is {override.value} {_for_whom(override)}"] = None
    return list(texts)


def weak_overrides(reading: Reading) -> list[Override]:
    """Return the overrides for a role or a database that keep less than is promised."""
    return [
        override
        for override in reading.overrides
        if override.name in _SAFE and override.value not in _SAFE[override.name]
    ]


def in_force(config: Mapping[str, object] | None, primary: Reading | None, weak: bool) -> str:
    """Return what commits wait for on the running primary; 'other' if the spec has no word for it, '' if unknown."""
    if weak:
        return OTHER
    if config is None or primary is None or STANDBY_NAMES not in primary.settings:
        return ""
    configured, names = patroni.durability_of(config), primary.settings[STANDBY_NAMES].value
    if not names:
        return "async"
    if configured not in ("quorum", "sync"):
        return OTHER
    # '*': no standby counts yet, and until one does writes block.
    fits = names == "*" or names.startswith("ANY ") == (configured == "quorum")
    return configured if fits else OTHER


def assess(spec: PostgresSpec, observed: ObservedPostgres, primary: str | None) -> tuple[str, ConditionState]:
    """Return the durability in force ('' if it can't be known), and the condition DurabilityApplied."""
    weak = weaknesses(observed.readings)
    actual = in_force(observed.config, observed.readings.get(primary or ""), bool(weak))
    return actual, _condition(spec, observed, primary, weak, actual)


def _condition(
    spec: PostgresSpec, observed: ObservedPostgres, primary: str | None, weak: Sequence[str], actual: str
) -> ConditionState:
    if weak:
        return "False", "Weakened", "; ".join(weak)
    if observed.config is None:
        return "Unknown", "NoAnswer", "no member answers"
    if not actual:
        reason = f"no settings reported by {health.unread(observed)}" if primary else "there is no primary"
        return "Unknown", "NoPrimary", f"{reason}: what commits wait for is not known"
    if actual != spec.durability:
        return "False", "Observed", f"the running cluster is {actual}"
    if silent := health.unread(observed):
        return "Unknown", "NoAnswer", f"no settings reported by {silent}; by the others' settings it is {actual}"
    return "True", "Observed", f"the running cluster is {actual}, by every member's own settings"


def _weak_settings(reading: Reading) -> Iterator[str]:
    for name, safe in _SAFE.items():
        setting = reading.settings.get(name)
        if setting and setting.source not in OF_A_SESSION and setting.value not in safe:
            yield f"{name} is {setting.value} {_where(setting)}"
    for line in reading.lines:
        # This includes lines that no reload has brought into force yet.
        weakens = line.name == STANDBY_NAMES or line.value.lower() not in _SAFE.get(line.name, (line.value.lower(),))
        if line.is_of_alter_system and weakens and not _is_shown(line.name, reading):
            yield f"{line.name} will be '{line.value}' (by ALTER SYSTEM, in {AUTO_CONF})"


def _is_shown(name: str, reading: Reading) -> bool:
    setting = reading.settings.get(name)
    return bool(setting and name in _SAFE and setting.value not in _SAFE[name])


def _where(setting: Setting) -> str:
    file = setting.file.rpartition("/")[2]
    if file == AUTO_CONF:
        return f"(by ALTER SYSTEM, in {AUTO_CONF})"
    return f"(in {file})" if file else f"({setting.source})"


def _for_whom(override: Override) -> str:
    role = f"for role {override.role}" if override.role else ""
    database = f"in database {override.database}" if override.database else ""
    return f"{role} {database}".strip() or "for every role"
