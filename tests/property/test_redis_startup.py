"""Random lives of a Redis cluster, and at their end all members at once: who is chosen has what was acknowledged."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from caplab_redis_member.record import Record
from caplab_redis_member.startup import choose_primary
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.property

HOSTS = ("rd-0", "rd-1", "rd-2", "rd-3")
EVENTS = st.sampled_from(["write", "replicate", "die", "return", "fail over", "wipe"])


@dataclass(kw_only=True)
class SimulatedCluster:
    """What each member has on its disk, each write as it was acknowledged: with fsync always, by the primary alone."""

    primary: str = HOSTS[0]
    now: float = 1.0
    written: int = 0
    disks: dict[str, list[int]] = field(default_factory=lambda: {host: [] for host in HOSTS})
    follows: dict[str, tuple[str, float]] = field(default_factory=lambda: dict.fromkeys(HOSTS, (HOSTS[0], 1.0)))
    up: set[str] = field(default_factory=lambda: set(HOSTS))
    wiped: set[str] = field(default_factory=set)

    def apply(self, event: str, host: str) -> None:
        self.now += 1
        does = {
            "write": self._write, "replicate": self._replicate, "die": self._die, "return": self._return,
            "fail over": self._fail_over, "wipe": self._wipe,
        }  # fmt: skip
        does[event](host)

    def _write(self, _host: str) -> None:
        if self.primary in self.up:
            self.written += 1
            self.disks[self.primary].append(self.written)

    def _replicate(self, host: str) -> None:
        if {host, self.primary} <= self.up:
            self.disks[host] = list(self.disks[self.primary])
            self.wiped.discard(host)

    def _die(self, host: str) -> None:
        self.up.discard(host)

    def _return(self, host: str) -> None:
        """A member comes back beside a primary, follows it, and has what it has."""
        if host not in self.up and self.primary in self.up:
            self.up.add(host)
            self.follows[host] = (self.primary, self.now)
            self._replicate(host)

    def _fail_over(self, host: str) -> None:
        """Sentinels promote a replica of a primary that is down: what it lacks is lost, and was allowed to be."""
        if self.primary not in self.up and host in self.up and host not in self.wiped:
            self.primary = host
            self.follows[host] = (host, self.now)
            for other in self.up - {host}:
                self.follows[other] = (host, self.now + 0.5)
                self._replicate(other)

    def _wipe(self, host: str) -> None:
        """A member that is down loses its volume."""
        if host not in self.up:
            self.disks[host], self.follows[host] = [], ("", 0.0)
            self.wiped.add(host)

    def record(self, host: str) -> Record:
        """Offsets of files that a crash left are rough, so they are no help against a primary's own."""
        follows, since = self.follows[host]
        has_data = host not in self.wiped
        return Record(host=host, follows=follows, since=since, offset=len(self.disks[host]), has_data=has_data)


@given(st.lists(st.tuples(EVENTS, st.sampled_from(HOSTS)), max_size=40), st.sampled_from([None, *HOSTS]))
def test_nothing_that_the_last_primary_acknowledged_is_lost_by_the_choice(
    events: list[tuple[str, str]], named: str | None
) -> None:
    cluster = SimulatedCluster()
    for event, host in events:
        cluster.apply(event, host)
    chosen = choose_primary([cluster.record(host) for host in HOSTS], named, HOSTS[0], HOSTS)
    if cluster.primary not in cluster.wiped:
        assert cluster.disks[chosen] == cluster.disks[cluster.primary]
    else:
        followed_it = [host for host in HOSTS if cluster.follows[host][0] == cluster.primary]
        assert all(
            len(cluster.disks[chosen]) >= len(cluster.disks[host]) for host in followed_it if host not in cluster.wiped
        )
