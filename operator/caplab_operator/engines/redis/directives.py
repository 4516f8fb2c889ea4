"""The directives of redis.conf that are enforced on members beside the lab's own."""

from __future__ import annotations

import re

from ..parameters import table

# No spec may name these, since durability or the choice of the primary depends on them. If somebody changes them, they
# are set back to Redis' own values.
_HELD_TOO = frozenset({"activedefrag", "no-appendfsync-on-rewrite", "replica-priority"})
_HELD = {name: parameter for name, parameter in table("redis").items() if not parameter.refused or name in _HELD_TOO}
# Redis' own values: a directive that is no longer named goes back to it, on running members too.
DEFAULTS: dict[str, str] = {name: parameter.default for name, parameter in _HELD.items()}
# Redis refuses to change these while it runs.
IMMUTABLE = frozenset(name for name, parameter in _HELD.items() if not parameter.live)

_BYTES = frozenset(name for name, parameter in _HELD.items() if parameter.kind == "size")
_UNITS = {
    "": 1, "b": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30,
}  # fmt: skip
_EVERY_EVENT = "g$lshzxetd"  # what the letter A of notify-keyspace-events stands for


def canonical(name: str, value: str) -> str:
    """Normalize a value's spelling: two spellings that mean the same to Redis become the same."""
    if name == "notify-keyspace-events":
        return "".join(sorted(set(value.replace("A", _EVERY_EVENT))))
    plain = value.lower()
    if name in _BYTES and (size := re.fullmatch(r"(\d+)([a-z]*)", plain)) and size[2] in _UNITS:
        return str(int(size[1]) * _UNITS[size[2]])
    return plain
