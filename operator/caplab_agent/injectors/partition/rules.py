"""The rules that cut a pod off, as nft reads and prints them: pure functions.

Each fault has a table of its own in the pod's network namespace, so that overlapping faults come and go independently:

- The sets drop_from4, drop_from6, drop_to4 and drop_to6 hold the addresses to drop. Their elements expire in the
  kernel, so that the cut ends even when no agent is left to end it.
- The sets in4, in6, out4 and out6 hold the counters of these addresses. The first packet adds an element, which is not
  refreshed: its time-out minus the time left is how long ago that packet came.
- All tables count before any table drops, so that two faults which drop the same packet both have the evidence.
- Traffic over lo is the pod talking to itself, by any of its addresses, and is never dropped.

https://wiki.nftables.org/wiki-nftables/index.php/Element_timeouts
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

# The agent's heal ends the cut, a little late on a busy machine. The elements expire for when there is no agent.
GRACE_MS = 2000
_COUNTER_HOURS = 2  # longer than any fault
_SET = re.compile(r"\bset (\w+) \{(.*?)\n\s*\}\n", re.DOTALL)
_ELEMENTS = re.compile(r"elements = \{(.*?)\}", re.DOTALL)
_PACKETS, _EXPIRES = re.compile(r"\bpackets (\d+)"), re.compile(r"\bexpires (\w+)")
_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile(r"(\d+)(ms|[dhms])")


@dataclass(frozen=True, slots=True)
class DropAddresses:
    """Addresses that the guard permits: packets from sources and to destinations are dropped."""

    sources: tuple[Address, ...] = ()
    destinations: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class DropCount:
    """The packets dropped from or to one address; age_ms: how long ago the first one came."""

    direction: str  # from or to
    address: Address
    packets: int
    age_ms: int


@dataclass(frozen=True, slots=True)
class DropCounters:
    """The counters of a table; in_force: whether it still names an address to drop."""

    dropped: tuple[DropCount, ...]
    in_force: bool


def address(text: str) -> Address:
    """Parse an IP address; an IPv4 address in IPv6 notation becomes IPv4, as in its packets. Raises ValueError."""
    parsed = ip_address(text)
    if isinstance(parsed, IPv6Address):
        if parsed.scope_id is not None:  # it may be any text, and would end up in a transaction
            raise ValueError(f"{text!r} names an interface")
        return parsed.ipv4_mapped or parsed
    return parsed


def table_name(fault_uid: str) -> str:
    """Return the name of a fault's table."""
    return f"caplab_{fault_uid.replace('-', '_')}"


def create_table(fault_uid: str, drops: DropAddresses, milliseconds: int) -> str:
    """Write a transaction that creates the table, and fails if it exists."""
    return f"create table inet {table_name(fault_uid)}\n{_whole(fault_uid, drops, milliseconds)}"


def replace_table(fault_uid: str, drops: DropAddresses, milliseconds: int) -> str:
    """Write a transaction that creates the table, or replaces it; the kernel takes longer than for create_table."""
    name = table_name(fault_uid)
    return f"table inet {name}\ndelete table inet {name}\n{_whole(fault_uid, drops, milliseconds)}"


def change_addresses(fault_uid: str, drops: DropAddresses, milliseconds: int) -> str:
    """Write a transaction that drops these addresses from now on and keeps the counters."""
    name = table_name(fault_uid)
    lines = [f"flush set inet {name} {set_name}" for set_name, _, _ in _sets(drops)]
    lines += [
        f"add element inet {name} {set_name} {{ {_elements(addresses, milliseconds)} }}"
        for set_name, _, addresses in _sets(drops)
        if addresses
    ]
    return "\n".join(lines) + "\n"


def parse_table(text: str) -> DropCounters:
    """Read a table as `nft list table` prints it."""
    sets = {name: list(_printed(body)) for name, body in _SET.findall(text)}
    dropped = tuple(
        DropCount(direction, ip_address(element.split()[0]), int(packets[1]), age)
        for name, direction in (("in4", "from"), ("in6", "from"), ("out4", "to"), ("out6", "to"))
        for element in sets.get(name, ())
        if (packets := _PACKETS.search(element)) and int(packets[1])
        for age in [_age(element)]
    )
    return DropCounters(dropped, any(sets.get(name) for name, _, _ in _sets(DropAddresses())))


def _whole(fault_uid: str, drops: DropAddresses, milliseconds: int) -> str:
    lines = [f"table inet {table_name(fault_uid)} {{"]
    for name, kind, addresses in _sets(drops):
        elements = f" elements = {{ {_elements(addresses, milliseconds)} }};" if addresses else ""
        lines.append(f"  set {name} {{ type {kind}; flags timeout;{elements} }}")
    for name, kind in (("in4", "ipv4_addr"), ("in6", "ipv6_addr"), ("out4", "ipv4_addr"), ("out6", "ipv6_addr")):
        lines.append(f"  set {name} {{ type {kind}; flags dynamic,timeout; timeout {_COUNTER_HOURS}h; size 1024; }}")
    lines += _chains("in", "prerouting", 'iifname "lo" accept', "saddr", "drop_from")
    lines += _chains("out", "output", 'oifname "lo" accept', "daddr", "drop_to")
    return "\n".join([*lines, "}"]) + "\n"


def _chains(way: str, hook: str, own: str, end: str, drops: str) -> Iterator[str]:
    yield f"  chain count_{way} {{ type filter hook {hook} priority raw - 1; policy accept; {own};"
    yield f"    ip {end} @{drops}4 add @{way}4 {{ ip {end} counter }};"
    yield f"    ip6 {end} @{drops}6 add @{way}6 {{ ip6 {end} counter }}; }}"
    yield f"  chain drop_{way} {{ type filter hook {hook} priority raw; policy accept; {own};"
    yield f"    ip {end} @{drops}4 drop; ip6 {end} @{drops}6 drop; }}"


def _sets(drops: DropAddresses) -> Iterator[tuple[str, str, list[Address]]]:
    for name, addresses in (("drop_from", drops.sources), ("drop_to", drops.destinations)):
        for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
            yield f"{name}{version}", kind, sorted({each for each in addresses if each.version == version}, key=int)


def _elements(addresses: Sequence[Address], milliseconds: int) -> str:
    return ", ".join(f"{each} timeout {max(1, milliseconds)}ms" for each in addresses)


def _printed(body: str) -> Iterator[str]:
    elements = _ELEMENTS.search(body)
    yield from (element.strip() for element in elements[1].split(",")) if elements else ()


def _age(element: str) -> int:
    left = _EXPIRES.search(element)
    whole = _COUNTER_HOURS * _MILLISECONDS["h"]
    if left is None:  # it was added at this very moment, and none of its time is used up
        return 0
    return max(0, whole - sum(int(number) * _MILLISECONDS[unit] for number, unit in _DURATION.findall(left[1])))
