"""A look at a cluster as its members' word amounts to: values, made by ring_state.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..pods import Pod
from .observe import WAITING, Member

UP, DOWN, JOINING, LEAVING = "UN", "DN", "UJ", "UL"
DECOMMISSIONED = "DECOMMISSIONED"


@dataclass(frozen=True, slots=True)
class RingMember:
    """A member: its pod, its own word, and its peers'."""

    pod: Pod
    member: Member | None
    host_id: str  # '' while it has none, or nobody knows it
    address: str  # as the ring has it, else its pod's
    up_by: int  # peers that answer and see it up
    down_by: int
    state: str  # UN, DN, UJ, UL; '' where no peer knows it

    @property
    def name(self) -> str:
        """Of its pod."""
        return self.pod.name

    @property
    def stage(self) -> str:
        """By its own word; '' where it is silent."""
        return self.member.stage if self.member else ""

    @property
    def waits(self) -> bool:
        """Whether it has no data, and waits to be told how to begin."""
        return self.member is not None and self.member.stage == WAITING and self.member.fresh

    @property
    def is_up(self) -> bool:
        """Whether it is up and normal by everybody's word."""
        return self.state == UP and not self.down_by

    @property
    def is_ready(self) -> bool:
        """Whether it is up and serves clients."""
        serves = self.member is not None and self.member.native and self.pod.ready and not self.pod.terminating
        return self.is_up and serves


@dataclass(frozen=True, slots=True)
class Ring:
    """All members, by ordinal, and what their peers' word amounts to."""

    rows: tuple[RingMember, ...]
    absent: tuple[RingMember, ...]  # members without a pod at the moment, whom the ring still knows
    views: Mapping[str, Member]  # of those who take part in gossip, by name

    @property
    def schemas(self) -> frozenset[str]:
        """The versions there are: one, where all agree."""
        return frozenset(version for view in self.views.values() for version in view.schemas.values())

    def joining(self, host_id: str) -> bool:
        """Whether somebody sees this host join."""
        return any(view.host_ids.get(address) == host_id for view in self.views.values() for address in view.joining)

    def addresses(self, host_id: str) -> set[str]:
        """Where the ring has this host."""
        hosts = (item for view in self.views.values() for item in view.host_ids.items())
        return {address for address, host in hosts if host == host_id}

    def sees_up(self, host_id: str) -> bool:
        """Whether somebody sees this host up."""
        return any(view.host_ids.get(address) == host_id for view in self.views.values() for address in view.live)

    def is_live(self, address: str) -> bool:
        """Whether somebody sees anybody up there."""
        return any(address in view.live for view in self.views.values())

    @property
    def strangers(self) -> list[tuple[str, str]]:
        """Host id and address of those in the ring that are no member's, and that everybody sees down."""
        own = {row.host_id for row in (*self.rows, *self.absent)} | {""}
        hosts = {host: address for view in self.views.values() for address, host in view.host_ids.items()}
        return sorted((host, address) for host, address in hosts.items() if host not in own and not self.sees_up(host))


def address_of(view: Member, host_id: str) -> str | None:
    """Where a member sees a host; None where it does not know it."""
    return next((address for address, host in view.host_ids.items() if host == host_id), None)
