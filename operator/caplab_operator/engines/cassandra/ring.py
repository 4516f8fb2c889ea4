"""The ring as its members report it: plain values, computed by ring_state.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..pods import Pod
from .observe import WAITING, Member

UP, DOWN, JOINING, LEAVING = "UN", "DN", "UJ", "UL"
DECOMMISSIONED = "DECOMMISSIONED"


@dataclass(frozen=True, slots=True, kw_only=True)
class RingMember:
    """A member: its pod, its own report, and its peers'."""

    pod: Pod
    member: Member | None
    host_id: str  # '' while it has none, or it is unknown
    address: str  # its address in the ring, else its pod's
    up_by: int  # the number of peers that answer and see it up
    down_by: int
    state: str  # UN, DN, UJ, UL; '' where no peer knows it

    @property
    def name(self) -> str:
        """Its pod's name."""
        return self.pod.name

    @property
    def stage(self) -> str:
        """The stage that it reports; '' if it is silent."""
        return self.member.stage if self.member else ""

    @property
    def waits(self) -> bool:
        """Whether it has no data, and waits to be told how to start."""
        return self.member is not None and self.member.stage == WAITING and self.member.fresh

    @property
    def is_up(self) -> bool:
        """Whether all that answer see it up and normal."""
        return self.state == UP and not self.down_by

    @property
    def is_ready(self) -> bool:
        """Whether it is up and serves clients."""
        serves = self.member is not None and self.member.native and self.pod.ready and not self.pod.terminating
        return self.is_up and serves


@dataclass(frozen=True, slots=True)
class Ring:
    """All members, by ordinal, and the ring as they see it."""

    rows: tuple[RingMember, ...]
    absent: tuple[RingMember, ...]  # members that have no pod at the moment, but are still in the ring
    views: Mapping[str, Member]  # by name, the reports of members that take part in gossip

    @property
    def schemas(self) -> frozenset[str]:
        """The schema versions in use: one if all agree."""
        return frozenset(version for view in self.views.values() for version in view.schemas.values())

    def joining(self, host_id: str) -> bool:
        """Whether any member sees this host join."""
        return any(view.host_ids.get(address) == host_id for view in self.views.values() for address in view.joining)

    def addresses(self, host_id: str) -> set[str]:
        """Return the addresses of this host in the ring."""
        hosts = (item for view in self.views.values() for item in view.host_ids.items())
        return {address for address, host in hosts if host == host_id}

    def sees_up(self, host_id: str) -> bool:
        """Whether any member sees this host up."""
        return any(view.host_ids.get(address) == host_id for view in self.views.values() for address in view.live)

    def is_live(self, address: str) -> bool:
        """Whether any member sees a host up at this address."""
        return any(address in view.live for view in self.views.values())

    @property
    def strangers(self) -> list[tuple[str, str]]:
        """Host id and address of hosts in the ring that belong to no member, and that no member sees up."""
        own = {row.host_id for row in (*self.rows, *self.absent)} | {""}
        hosts = {host: address for view in self.views.values() for address, host in view.host_ids.items()}
        return sorted((host, address) for host, address in hosts.items() if host not in own and not self.sees_up(host))


def address_of(view: Member, host_id: str) -> str | None:
    """Return the address at which a member sees a host; None if it does not know it."""
    return next((address for address, host in view.host_ids.items() if host == host_id), None)
