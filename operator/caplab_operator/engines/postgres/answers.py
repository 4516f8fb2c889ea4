"""Validation of the answers of members' Patroni, which may be anything. Pure.

Values of another type, or longer than Patroni's, are left out, as if they had not been reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TEXT_CHARACTERS, _NAME_CHARACTERS = 40, 63  # the kind's schema allows no more of a state or a time, or of a name
_MAX_ROWS = 1000
_MAX_NUMBER = 2**53  # of a number: more than any timeline, lag or place in the log
_TEXTS = ("role", "state", "replication_state", "postmaster_start_time")
_OF_A_MEMBER = ("name", "role", "state")

Answer = dict[str, Any]


def answer_from(raw: object) -> Answer | None:
    """Parse a member's own report, from /patroni."""
    if not isinstance(raw, Mapping):
        return None
    answer = _with(raw, _TEXTS, _is_text) | _with(raw, ("timeline",), _is_number)
    if isinstance(place := raw.get("xlog"), Mapping):
        answer["xlog"] = _with(place, ("received_location",), _is_number)
    if isinstance(reasons := raw.get("pending_restart_reason"), Mapping):
        answer["pending_restart_reason"] = {name: reasons[name] for name in reasons if _is_name(name)}
    return answer


def topology_from(raw: object) -> Answer | None:
    """Parse the leader's report of all members, from /cluster."""
    if not isinstance(raw, Mapping):
        return None
    rows = [row for row in _rows(raw.get("members")) if isinstance(row, Mapping) and _is_name(row.get("name"))]
    return {"members": [_with(row, _OF_A_MEMBER, _is_name) | _with(row, ("lag",), _is_number) for row in rows]}


def received(answer: Mapping[str, Any]) -> int | None:
    """Return up to where a replica has received the log, in bytes; None if it does not say."""
    place: int | None = (answer.get("xlog") or {}).get("received_location")
    return place


def config_from(raw: object) -> Mapping[str, Any] | None:
    """Parse the settings of the cluster, from /config."""
    return raw if isinstance(raw, Mapping) else None


def history_from(raw: object) -> Sequence[Sequence[Any]]:
    """Parse the latest timelines that ended, from /history: [timeline, lsn, reason, time, new leader]."""
    rows = [row for row in _rows(raw) if isinstance(row, list)]
    return tuple(row for row in rows if len(row) < 5 or (_is_text(row[3]) and _is_name(row[4])))


def _rows(raw: object) -> list[Any]:
    return raw[-_MAX_ROWS:] if isinstance(raw, list) else []


def _with(raw: Mapping[Any, Any], names: Sequence[str], is_sound: Any) -> Answer:
    return {name: raw[name] for name in names if name in raw and is_sound(raw[name])}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _TEXT_CHARACTERS


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _NAME_CHARACTERS


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_NUMBER
