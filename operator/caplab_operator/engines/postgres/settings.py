"""Whether members have the spec's settings: what differs, what Postgres refused, what waits for a restart. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..conditions import ConditionState
from ..parameters import not_taken
from . import health
from .observe import ObservedPostgres
from .patroni import drift, dynamic_settings, parameters
from .readings import Line, Reading, Setting
from .spec import PostgresSpec
from .units import is_in_force


@dataclass(frozen=True, slots=True)
class Gap:
    """A member's deviations from the spec, each by the setting's name."""

    differs: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    waits: Mapping[str, str] = field(default_factory=dict)  # for a restart

    def __bool__(self) -> bool:
        return bool(self.differs or self.refused or self.waits)


def gaps(spec: PostgresSpec, observed: ObservedPostgres) -> dict[str, Gap]:
    """Return the gap of each member that reports its settings, and lacks some of the spec's."""
    wanted = {name.lower(): value for name, value in parameters(spec).items()}
    by_member = {
        name: _gap(wanted, reading, (observed.answers.get(name) or {}).get("pending_restart_reason") or {})
        for name, reading in observed.readings.items()
    }
    return {name: gap for name, gap in by_member.items() if gap}


def applied(spec: PostgresSpec, observed: ObservedPostgres, member_gaps: Mapping[str, Gap]) -> ConditionState:
    """Build the condition SettingsApplied."""
    if forbidden := not_taken(spec.ENGINE.name, spec.parameters):
        named = "; ".join(f"{name}: {why}" for name, why in sorted(forbidden.items()))
        return "False", "Refused", f"spec.parameters has parameters that are not allowed, remove them: {named}"
    if not observed.readings:
        return "Unknown", "NoAnswer", "no member reports its settings"
    for reason, lead, what in (
        ("Refused", "Postgres refuses", {name: gap.refused for name, gap in member_gaps.items()}),
        ("NotYet", "different from the spec", {"Patroni": _of_patroni(spec, observed), **_differing(member_gaps)}),
        ("RestartNeeded", "waiting for a restart", {name: gap.waits for name, gap in member_gaps.items()}),
    ):
        if text := _by_setting(what):
            return "False", reason, f"{lead}: {text}"
    if silent := health.unread(observed):
        return "Unknown", "NoAnswer", f"no settings reported by {silent}"
    return "True", "Observed", "every member has the spec's settings"


def _of_patroni(spec: PostgresSpec, observed: ObservedPostgres) -> dict[str, str]:
    """Describe Patroni's own settings that differ; Postgres' are read from the members themselves."""
    config = observed.config or {}
    changed = drift(dynamic_settings(spec), config) if config else {}
    return {name: f"is {config.get(name)}, not {value}" for name, value in changed.items() if name != "postgresql"}


def _differing(member_gaps: Mapping[str, Gap]) -> dict[str, Mapping[str, str]]:
    return {name: gap.differs for name, gap in member_gaps.items()}


def names(spec: PostgresSpec) -> list[str]:
    """Return the settings to read from members."""
    return sorted(name.lower() for name in dynamic_settings(spec)["postgresql"]["parameters"])


def _gap(wanted: Mapping[str, str], reading: Reading, reasons: Mapping[str, object]) -> Gap:
    pending = {name for name, setting in reading.settings.items() if setting.waits_for_restart}
    pending |= {name.lower() for name in reasons}
    lines = {line.name: line for line in reading.lines}  # the last one counts
    differs: dict[str, str] = {}
    refused: dict[str, str] = {}
    waits = dict.fromkeys(pending - wanted.keys(), "has changed")
    for name, value in wanted.items():
        setting, line = reading.settings.get(name), lines.get(name)
        if setting is None:
            # A name with a dot is an extension's: Postgres takes any.
            refused |= {} if "." in name else {name: "is not a parameter of it"}
        elif name in pending:
            waits[name] = f"{_shown(setting)}, not yet {value}"
        elif line and line.error and line.value == value:
            refused[name] = f"'{value}': {line.error}"
        elif not _has(value, setting, line):
            differs[name] = f"{_shown(setting)}, not {value}"
    return Gap(differs, refused, waits)


def _has(value: str, setting: Setting, line: Line | None) -> bool:
    """Whether a setting has a value, or Postgres reports that the file's line with that value is in force."""
    if is_in_force(value, setting):
        return True
    by_file = line is not None and line.value == value and line.applied and not line.error
    return by_file and setting.source == "configuration file"


def _shown(setting: Setting) -> str:
    unit = f" * {setting.unit}" if setting.unit[:1].isdigit() else setting.unit
    return f"is {setting.value}{unit}"


def _by_setting(by_member: Mapping[str, Mapping[str, str]]) -> str:
    """List settings with their members, grouped by equal texts."""
    members: dict[tuple[str, str], list[str]] = {}
    for member, texts in sorted(by_member.items()):
        for name, text in texts.items():
            members.setdefault((name, text), []).append(member)
    return "; ".join(f"{name} {text} ({', '.join(names)})" for (name, text), names in sorted(members.items()))
