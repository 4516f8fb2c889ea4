"""Settings of running members that differ from the spec's: pure."""

from __future__ import annotations

from collections.abc import Mapping

from .configuration import Setting, as_text, drift, live_settings, settings
from .observe import RUNNING, Seen
from .spec import CassandraSpec


def drifts(spec: CassandraSpec, seen: Seen) -> dict[str, dict[str, Setting]]:
    """All settings that differ, by member; of those that run."""
    wanted = settings(spec)
    return {
        name: changes
        for name, said in seen.said.items()
        if said.stage == RUNNING and (changes := drift(wanted, said.settings))
    }


def to_tell(spec: CassandraSpec, seen: Seen) -> dict[str, Mapping[str, str]]:
    """What members can be told while they run, by member: only of what they know."""
    wanted = live_settings(spec)
    changes = {
        name: {one: as_text(value) for one, value in drift(wanted, said.settings).items() if one in said.settings}
        for name, said in seen.said.items()
        if said.stage == RUNNING
    }
    return {name: found for name, found in changes.items() if found}
