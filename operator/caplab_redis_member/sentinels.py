"""What a Sentinel says of the primary that it names."""

from __future__ import annotations

from dataclasses import dataclass

from caplab_wire.resp import Refusal, pairs

from .config import MASTER, SENTINEL_PORT, MemberConfig

_FAILING_OVER, _DOWN = "failover_in_progress", frozenset({"s_down", "o_down"})  # flags in SENTINEL MASTER


@dataclass(frozen=True, slots=True)
class NamedPrimary:
    """The primary that a Sentinel names. epoch: 0 until there has been a failover."""

    host: str
    epoch: int
    flags: frozenset[str]

    @property
    def is_being_replaced(self) -> bool:
        """Whether this Sentinel is failing over from it."""
        return _FAILING_OVER in self.flags

    @property
    def is_down(self) -> bool:
        """Whether this Sentinel considers it down."""
        return bool(self.flags & _DOWN)


def ask_sentinel(config: MemberConfig, sentinel: str) -> NamedPrimary | None:
    """Ask a Sentinel for the primary; None if it does not answer, or makes no sense."""
    try:
        fields = pairs(config.ask(sentinel, ("SENTINEL", "MASTER", MASTER), port=SENTINEL_PORT)[0])
        return NamedPrimary(fields["ip"], int(fields["config-epoch"]), frozenset(fields["flags"].split(",")))
    except (OSError, Refusal, KeyError, ValueError):
        return None
