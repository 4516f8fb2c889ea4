"""Users of members and Sentinels, and their rules: those that they start with, and those that are enforced.

The start scripts in images/redis make the users from the files that the operator mounts; so the rules are here only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..exporter import LOGIN
from ..objects import APPLICATION

Command = Sequence[str]

OPERATOR = "operator"  # the operator's own login
MONITOR = LOGIN

# The variables in which a start script finds each user's password.
VARIABLES = {
    "replication": "REPLICATION_PASSWORD",
    "sentinel": "SENTINEL_PASSWORD",
    OPERATOR: "OPERATOR_PASSWORD",
    APPLICATION: "APPLICATION_PASSWORD",
}
DEFAULT = "default"
_HIDDEN = "*"  # in place of a password in logs


@dataclass(frozen=True, slots=True)
class User:
    """A user of Redis; rules as ACL SETUSER takes them, without the password."""

    name: str
    rules: str


# Users that members start with. The operator adds the exporter's while they run: no start file names it, so members
# need no restart for it.
MEMBER_USERS = (
    User(OPERATOR, "~* &* +@all"),
    User("replication", "+psync +replconf +ping"),
    # As Sentinel's manual requires ("Redis Access Control List authentication").
    User(
        "sentinel",
        "allchannels +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info +client|setname "
        "+client|kill +script|kill",
    ),
    # Data, and what a client needs to identify its server; no administration.
    User(
        APPLICATION,
        "~* &* +@read +@write +@connection +@transaction +@scripting +@pubsub +wait +waitaof +info +time +role "
        "-@dangerous +info +role -@admin -client|kill -client|pause",
    ),
)
# The exporter needs no more. Of the slow log it needs the last entry's number and time, and gets its command too.
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
    """Build the file for a start script: name, variable with the password, and rules, a user on each line."""
    return "".join(f"{user.name} {VARIABLES[user.name]} {user.rules}\n" for user in users)


def commands(users: Sequence[User], passwords: Mapping[str, str], listed: Sequence[str]) -> list[Command]:
    """Build the commands that set the users and remove all others; listed are the current ones from ACL LIST.

    A user whose password is not known stays as it is.
    """
    return [
        ("ACL", "SETUSER", DEFAULT, "off"),
        *(
            ("ACL", "SETUSER", user.name, "reset", "on", f">{passwords[user.name]}", *user.rules.split())
            for user in users
            if passwords.get(user.name)
        ),
        *(("ACL", "DELUSER", name) for name in strangers(users, listed)),
    ]


def strangers(users: Sequence[User], listed: Sequence[str]) -> list[str]:
    """Return the names in an answer to ACL LIST of those that are none of the users."""
    return sorted(set(map(name_in, listed)) - {user.name for user in users} - {DEFAULT})


def has_login(name: str, password: str, listed: Sequence[str]) -> bool:
    """Whether a user is among the listed ones, and has this password."""
    digest = f"#{hashlib.sha256(password.encode()).hexdigest()}"
    return any(name_in(line) == name and digest in line.split() for line in listed)


def name_in(line: str) -> str:
    """Return the user's name in a line of ACL LIST."""
    return line.split()[1]


def changed(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Return the names of users that differ between two answers to ACL LIST."""
    return sorted({name_in(line) for line in set(before) ^ set(after)})


def printable(command: Command) -> str:
    """Return a command without passwords, for the log."""
    return " ".join(f">{_HIDDEN}" if word.startswith(">") else word for word in command)
