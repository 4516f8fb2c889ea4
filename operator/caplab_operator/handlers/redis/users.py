"""Correction of the users of members and Sentinels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ...engines.pods import Pod
from ...engines.redis import observe, settings_drift
from ...engines.redis.observe import Access, ObservedRedis, Place
from ...engines.redis.spec import RedisSpec
from ...engines.redis.users import (
    EXPORTERS_USER,
    MEMBER_USERS,
    SENTINEL_USERS,
    Command,
    User,
    commands,
    has_login,
    printable,
    strangers,
)

_log = logging.getLogger(__name__)

SendTo = Callable[[Place, Pod, Sequence[Command]], list[str]]


@dataclass
class Users:
    """Users as they were set, as each process itself lists them: Redis has its own spelling of rules."""

    _users_set: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by run id

    def changed(self, observed: ObservedRedis) -> dict[str, list[str]]:
        """Return the users that somebody changed since, by member or Sentinel."""
        return settings_drift.users_drift(observed, self._users_set)

    def correct(self, spec: RedisSpec, observed: ObservedRedis, passwords: Mapping[str, str]) -> dict[str, str]:
        """Set the users of each process that is new, has other users, or refuses clients. Returns refusals by pod."""
        access = observed.access
        self._users_set = {
            access.run_id: self._users_set[access.run_id]
            for access in access.values()
            if access.run_id in self._users_set
        }
        pods = (*observed.place.members, *observed.place.sentinels)
        due = [
            pod
            for pod in pods
            if pod.name in access
            and not (
                self._is_well(access[pod.name]) and _has_exporters(observed.place, pod, passwords, access[pod.name])
            )
        ]
        refusals = {pod.name: self._set(spec, observed.place, pod, passwords, access[pod.name]) for pod in due}
        return {name: refused for name, refused in refusals.items() if refused}

    def _is_well(self, access: Access) -> bool:
        return self._users_set.get(access.run_id) == access.users and not access.refusal

    def _set(self, spec: RedisSpec, place: Place, pod: Pod, passwords: Mapping[str, str], access: Access) -> str:
        member = pod in place.members
        do = observe.send_to_member if member else observe.send_to_sentinel
        users = users_of_members(passwords) if member else SENTINEL_USERS
        refused = send_commands(spec, pod, do, place, commands(users, passwords, access.users))
        # One who came since the commands were made is not of those that were set: the next round removes it.
        if not refused and (listed := observe.users_of(place, pod)) and not strangers(users, listed):
            self._users_set[access.run_id] = listed
        return refused


def users_of_members(passwords: Mapping[str, str]) -> Sequence[User]:
    """Return the users of members, with the exporter's if it has a password ('' if there is no exporter)."""
    return (*MEMBER_USERS, EXPORTERS_USER) if passwords.get(EXPORTERS_USER.name) else MEMBER_USERS


def _has_exporters(place: Place, pod: Pod, passwords: Mapping[str, str], access: Access) -> bool:
    """Whether a member lets the exporter in, or does not have to."""
    password = passwords.get(EXPORTERS_USER.name)
    return not password or pod not in place.members or has_login(EXPORTERS_USER.name, password, access.users)


def send_commands(spec: RedisSpec, pod: Pod, do: SendTo, place: Place, commands: Sequence[Command]) -> str:
    """Send commands to a member or a Sentinel. Returns the refusals, '' if there are none."""
    if not commands:
        return ""
    refused = "; ".join(do(place, pod, commands))
    text = "; ".join(printable(command) for command in commands)
    _log.info("%s/%s was sent: %s%s", spec.namespace, pod.name, text, f", and refused: {refused}" if refused else "")
    return refused
