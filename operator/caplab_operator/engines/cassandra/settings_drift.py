"""Settings drift: settings of running members that differ from the spec's. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..pods import Pod
from .configuration import Setting, as_text, drift, live_settings, options_drift, settings
from .observe import RUNNING, ObservedCassandra
from .spec import CassandraSpec


def differences(wanted: Mapping[str, Setting], observed: ObservedCassandra) -> dict[str, list[str]]:
    """Describe each setting that is not as wanted, by running member."""
    differing = {}
    for name, member in sorted(observed.members.items()):
        if member.stage == RUNNING and (changes := drift(wanted, member.settings)):
            is_as = {
                setting: as_text(member.settings[setting]) or "none" if setting in member.settings else "unknown"
                for setting in changes
            }
            differing[name] = [
                f"{setting} is {is_as[setting]}, not {as_text(value) or 'none'}" for setting, value in changes.items()
            ]
    return differing


def not_applied(spec: CassandraSpec, observed: ObservedCassandra, outdated: Collection[str]) -> dict[str, list[str]]:
    """Describe by member the settings of the spec that are not in force; outdated are pods still to be replaced."""
    live = live_settings(spec)
    differing = differences(live, observed)
    at_start = {name: value for name, value in settings(spec).items() if name not in live}
    for name, what in differences(at_start, observed).items():
        differing.setdefault(name, []).extend(f"{setting} (waits for a restart)" for setting in what)
    for name, member in sorted(observed.members.items()):
        for setting, value in options_drift(spec, member.options).items():
            differing.setdefault(name, []).append(
                f"{setting} is {member.options[setting]}, not {value} (waits for a restart)"
            )
    for name in outdated:
        if name not in differing:
            differing[name] = ["settings that are read only at start (waits for a restart)"]
    return differing


def member_to_restore(observed: ObservedCassandra) -> Pod | None:
    """Return the member that has to restore the clients' login and keyspace: the first, if all that know lack it.

    If some have it there are two passwords, and restoring one would remove the other again and again.
    """
    applications = {
        name: member.application
        for name, member in observed.members.items()
        if member.stage == RUNNING and member.native
    }
    words = [word for word in applications.values() if word is not None]
    if not words or not all(words):
        return None
    return next((pod for pod in observed.place.pods if applications.get(pod.name)), None)


def live_changes(spec: CassandraSpec, observed: ObservedCassandra) -> dict[str, Mapping[str, str]]:
    """Return by member the changes that it takes while it runs, of the settings that it knows."""
    wanted = live_settings(spec)
    changes = {
        name: {
            setting: as_text(value)
            for setting, value in drift(wanted, member.settings).items()
            if setting in member.settings
        }
        for name, member in observed.members.items()
        if member.stage == RUNNING
    }
    return {name: differing for name, differing in changes.items() if differing}
