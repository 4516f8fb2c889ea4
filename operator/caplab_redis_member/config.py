"""The configuration of a member: its own host, the other members, the Sentinels, and the operator's settings."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from caplab_wire.resp import Answer, ask

REDIS_PORT, SENTINEL_PORT = 6379, 26379
RECORD_PORT = 6378  # where a waiting member publishes the record of its disk
MASTER = "caplab"  # the Sentinels' name for the replicated group


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberConfig:
    """A member's place in its cluster, and its settings."""

    host: str
    members: tuple[str, ...]
    sentinels: tuple[str, ...]
    quorum: int
    initial_primary: str
    bootstrap: bool  # the cluster has never been Ready
    come_back: bool  # a restarted member takes on its previous role
    persistence: str
    password: str

    @property
    def others(self) -> tuple[str, ...]:
        """The members other than this one."""
        return tuple(host for host in self.members if host != self.host)

    def ask(self, host: str, *commands: tuple[str, ...], port: int = REDIS_PORT) -> list[Answer]:
        """Send commands to a host and return its answers. Raises OSError and Refusal."""
        return ask(host, port, self.password, *commands)


def data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the member's volume."""
    return Path(environment.get("CAPLAB_DATA", "/data"))


def load_config(environment: Mapping[str, str] = os.environ) -> MemberConfig:
    """Read the current configuration; the operator may change its file at any time.

    Raises OSError, KeyError, ValueError.
    """
    text = (Path(environment.get("CAPLAB_CONFIG", "/etc/caplab")) / "lab.env").read_text()
    lab = dict(word.split("=", 1) for word in shlex.split(text))
    return MemberConfig(
        host=environment["MEMBER_HOST"],
        members=tuple(lab["MEMBER_HOSTS"].split()),
        sentinels=tuple(lab["SENTINEL_HOSTS"].split()),
        quorum=int(lab["QUORUM"]),
        initial_primary=lab["INITIAL_PRIMARY"],
        bootstrap=lab["BOOTSTRAP"] == "yes",
        come_back=lab["RESTARTED_PRIMARY"] == "ComeBack",
        persistence=lab["PERSISTENCE"],
        password=environment["OPERATOR_PASSWORD"],
    )
