"""Random inventories for the properties of faults."""

from __future__ import annotations

from collections.abc import Iterator

from caplab_operator.faults.inventory import Inventory, Pod
from hypothesis import strategies as st

from caplab.contract.names import MEMBER, SENTINEL
from support.operator.fault_inventory import CONTROL_PLANE, DNS, OPERATOR

CLUSTERS = [("postgres", "pg"), ("redis", "rd"), ("cassandra", "cs")]
SOURCES, DIRECTIONS = ["peers", "controlPlane", "clients", "group"], ["both", "in", "out"]


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    """Generate clusters in any zones, some of their pods without an address yet; clients and probers."""
    numbers = iter(range(1, 250))

    def some(name: str, most: int, engine: str = "", cluster: str = "", part: str = "") -> Iterator[Pod]:
        for number in range(draw(st.integers(0, most))):
            zone, address = draw(st.sampled_from("abc")), f"10.0.0.{next(numbers)}"
            has_address = draw(st.integers(0, 9)) > 0
            yield Pod(
                uid=f"u-{name}-{number}", name=f"{name}-{number}", node=f"node-{zone}", zone=zone,
                addresses=frozenset({address} if has_address else ()),
                node_addresses=frozenset({f"172.18.0.{ord(zone)}"}),
                engine=engine, cluster=cluster, part=part,
            )  # fmt: skip

    pods = [pod for engine, name in CLUSTERS for pod in some(name, 4, engine, name, MEMBER)]
    pods += some("rd-sentinel", 3, "redis", "rd", SENTINEL)
    return Inventory(
        pods=tuple(pods), clients=tuple(some("app", 3)), probers=tuple(some("prober", 3)),
        operator=OPERATOR, control_plane=CONTROL_PLANE, dns=DNS,
    )  # fmt: skip
