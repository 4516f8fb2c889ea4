"""Settings of running members that differ from the spec's: pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..pods import Pod
from .configuration import Setting, as_text, drift, live_settings, options_drift, settings
from .observe import RUNNING, Seen
from .spec import CassandraSpec


def differences(wanted: Mapping[str, Setting], seen: Seen) -> dict[str, list[str]]:
    """A sentence each setting that is not as wanted, by member; of those that run."""
    found = {}
    for name, said in sorted(seen.said.items()):
        if said.stage == RUNNING and (changes := drift(wanted, said.settings)):
            is_as = {
                one: as_text(said.settings[one]) or "none" if one in said.settings else "unknown" for one in changes
            }
            found[name] = [f"{one} is {is_as[one]}, not {as_text(value) or 'none'}" for one, value in changes.items()]
    return found


def not_applied(spec: CassandraSpec, seen: Seen, outdated: Collection[str]) -> dict[str, list[str]]:
    """What of the spec is not in force, by member; outdated: pods that are still to be made anew for it."""
    live = live_settings(spec)
    found = differences(live, seen)
    at_start = {name: value for name, value in settings(spec).items() if name not in live}
    for name, what in differences(at_start, seen).items():
        found.setdefault(name, []).extend(f"{one} (waits for a restart)" for one in what)
    for name, said in sorted(seen.said.items()):
        for one, value in options_drift(spec, said.options).items():
            found.setdefault(name, []).append(f"{one} is {said.options[one]}, not {value} (waits for a restart)")
    for name in outdated:
        if name not in found:
            found[name] = ["what changes at a start only (waits for a restart)"]
    return found


def to_restore(seen: Seen) -> Pod | None:
    """Who is to give clients back their login and keyspace: the first member, where all that know say they lack it.

    Where some say otherwise there are two passwords: one of them would take it away from the other again and again.
    """
    known = {name: said.application for name, said in seen.said.items() if said.stage == RUNNING and said.native}
    words = [word for word in known.values() if word is not None]
    if not words or not all(words):
        return None
    return next((pod for pod in seen.place.pods if known.get(pod.name)), None)


def to_tell(spec: CassandraSpec, seen: Seen) -> dict[str, Mapping[str, str]]:
    """What members can be told while they run, by member: only of what they know."""
    wanted = live_settings(spec)
    changes = {
        name: {one: as_text(value) for one, value in drift(wanted, said.settings).items() if one in said.settings}
        for name, said in seen.said.items()
        if said.stage == RUNNING
    }
    return {name: found for name, found in changes.items() if found}
