"""Read routings keep what they promise, however far replicas are behind and however late that is known."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from caplab_probes.links import Position, Result
from caplab_probes.load.workloads import Operation
from caplab_probes.outcomes import OK
from caplab_probes.routing.reads import ObservedLsns, eligible, routing_of
from caplab_probes.spec import ClientOptions
from hypothesis import given
from hypothesis import strategies as st

from caplab.contract.objects import READ_ROUTINGS

pytestmark = pytest.mark.property

REPLICAS = ("r0", "r1", "r2")
WRITE, READ = (
    Operation(index=0, op="write", route="replica", key="k", value=1),
    Operation(index=0, op="read", route="replica", key="k"),
)


@dataclass(kw_only=True)
class World:
    """A log of a primary (its length is what a read there shows), replicas that follow, and what is known of them."""

    routing_name: str
    log: int = 0
    replayed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REPLICAS, 0))
    positions: dict[str, Position] = field(default_factory=dict)
    observed: defaultdict[int, ObservedLsns] = field(default_factory=lambda: defaultdict(ObservedLsns))
    written: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))  # what each session wrote last
    shown: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))  # the most that each has read
    now: int = 0

    def step(self, action: str, session: int, replica: str, number: int) -> None:
        self.now += 1
        if action == "replay":
            self.replayed[replica] = min(self.log, self.replayed[replica] + number)
        elif action == "look":
            self.positions[replica] = Position(self.replayed[replica], False, self.now)
            self.positions["p"] = Position(self.log, True, self.now)
        elif action in ("write", "write without position"):
            self.log += number
            self.written[session] = self.log
            self._observed(session).learn(
                WRITE, Result(outcome=OK, epoch="1", lsn=self._lsn(action)), self.now, self.now
            )
        else:
            self._read(session, replica)

    def _lsn(self, action: str) -> int | None:
        return self.log + 1 if action == "write" else None  # asked for a little later

    def _observed(self, session: int) -> ObservedLsns:
        return self.observed[0 if self.routing_name == "causal" else session]

    def _read(self, session: int, replica: str) -> None:
        routing = routing_of(ClientOptions(read_routing=self.routing_name))
        assert routing
        names = eligible(routing, self._observed(session), self.positions, self.now)
        assert "p" not in names
        server = replica if replica in names else "p"
        shows = self.log if server == "p" else self.replayed[server]
        self._check(session, shows)
        self.shown[session] = max(self.shown[session], shows)
        epoch = "1" if server == "p" else None
        self._observed(session).learn(READ, Result(outcome=OK, epoch=epoch, lsn=shows), self.now, self.now)

    def _check(self, session: int, shows: int) -> None:
        if self.routing_name == "read-your-writes":
            assert shows >= self.written[session]
        if self.routing_name == "monotonic":
            assert shows >= self.shown[session]
        if self.routing_name == "causal":
            assert shows >= max([*self.written.values(), *self.shown.values()], default=0)


actions = st.sampled_from(["replay", "look", "write", "write without position", "read", "read"])


@given(
    st.sampled_from(["read-your-writes", "monotonic", "causal"]),
    st.lists(st.tuples(actions, st.integers(1, 3), st.sampled_from(REPLICAS), st.integers(1, 5)), max_size=40),
)
def test_no_read_shows_less_than_its_routing_promises(name: str, steps: list[tuple[str, int, str, int]]) -> None:
    world = World(routing_name=name)
    for step in steps:
        world.step(*step)


positions = st.dictionaries(
    st.sampled_from("abcdef"), st.builds(Position, st.integers(0, 50), st.booleans(), st.integers(0, 3 * 10**9))
)


@given(
    st.sampled_from(READ_ROUTINGS[1:]),
    st.builds(ObservedLsns, st.integers(0, 50), st.integers(0, 50), st.none() | st.integers(0, 9)),
    positions,
    st.integers(0, 3 * 10**9),
)
def test_a_replica_that_is_further_is_never_the_worse_one(
    name: str, observed: ObservedLsns, positions: dict[str, Position], now_ns: int
) -> None:
    routing = routing_of(ClientOptions(read_routing=name))
    assert routing
    names = eligible(routing, observed, positions, now_ns)
    assert not any(positions[member].primary for member in names)
    least = min((positions[member].lsn for member in names), default=None)
    if least is not None:
        assert names == {member for member, at in positions.items() if not at.primary and at.lsn >= least}
