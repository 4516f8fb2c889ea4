"""Who may log in to members and to Sentinels, and as what: what they start with, and what they are held to.

The start scripts in images/redis make the users from the files that the operator mounts; so the rules are here only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..exporter import LOGIN
from ..objects import APPLICATION

Command = Sequence[str]

OPERATOR = "operator"  # as whom the operator itself comes
MONITOR = LOGIN

# Where a start script finds each user's password.
VARIABLES = {
    "replication": "REPLICATION_PASSWORD",
    "sentinel": "SENTINEL_PASSWORD",
    OPERATOR: "OPERATOR_PASSWORD",
    APPLICATION: "APPLICATION_PASSWORD",
}
DEFAULT = "default"
_HIDDEN = "*"  # a password where others can read


@dataclass(frozen=True, slots=True)
class User:
    """A user of Redis; rules as ACL SETUSER takes them, without the password."""

    name: str
    rules: str


# What members start with; the operator gives them the exporter's as well, while they run: no start file names it, so
# that members need no restart to have it.
MEMBER_USERS = (
    User(OPERATOR, "~* &* +@all"),
    User("replication", "+psync +replconf +ping"),
    # What Sentinel's manual asks for ("Redis Access Control List authentication").
    User(
        "sentinel",
        "allchannels +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info +client|setname "
        "+client|kill +script|kill",
    ),
    # Data, and what a client needs to know whom it speaks with; no administration.
    User(
        APPLICATION,
        "~* &* +@read +@write +@connection +@transaction +@scripting +@pubsub +wait +waitaof +info +time +role "
        "-@dangerous +info +role -@admin -client|kill -client|pause",
    ),
)
# The exporter asks for no more. Of the slow log it wants the last entry's number and time, and gets its command too.
EXPORTERS_USER = User(MONITOR, "-@all +ping +info +client|setname +latency|latest +slowlog|len +slowlog|get")
SENTINEL_USERS = (
    User(OPERATOR, "~* &* +@all"),
    User("sentinel", "~* &* +@all"),
    User(
        APPLICATION,
        "&* +ping +hello +subscribe +psubscribe +unsubscribe +punsubscribe +sentinel|get-master-addr-by-name "
        "+sentinel|master +sentinel|masters +sentinel|replicas +sentinel|sentinels",
    ),
)


def file_of(users: Sequence[User]) -> str:
    """For a start script: name, variable with the password, rules; a line each."""
    return "".join(f"{user.name} {VARIABLES[user.name]} {user.rules}\n" for user in users)


def commands(users: Sequence[User], passwords: Mapping[str, str], listed: Sequence[str]) -> list[Command]:
    """Make the users what they are to be, and nobody else; listed are those there are, as ACL LIST has them.

    A user whose password is not known stays as it is.
    """
    wanted = {user.name for user in users} | {DEFAULT}
    strangers = sorted(set(map(name_in, listed)) - wanted)
    return [
        ("ACL", "SETUSER", DEFAULT, "off"),
        *(
            ("ACL", "SETUSER", user.name, "reset", "on", f">{passwords[user.name]}", *user.rules.split())
            for user in users
            if passwords.get(user.name)
        ),
        *(("ACL", "DELUSER", name) for name in strangers),
    ]


def has_login(name: str, password: str, listed: Sequence[str]) -> bool:
    """Whether that user is among those there are, and has that password."""
    digest = f"#{hashlib.sha256(password.encode()).hexdigest()}"
    return any(name_in(line) == name and digest in line.split() for line in listed)


def name_in(line: str) -> str:
    """The user that a line of ACL LIST is about."""
    return line.split()[1]


def changed(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """The users that differ between two answers to ACL LIST, by name."""
    return sorted({name_in(line) for line in set(before) ^ set(after)})


def printable(command: Command) -> str:
    """A command as it may be logged: without passwords."""
    return " ".join(f">{_HIDDEN}" if word.startswith(">") else word for word in command)
