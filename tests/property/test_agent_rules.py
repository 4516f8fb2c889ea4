"""Whatever addresses are asked for: a transaction names exactly the permitted ones, and what is printed is read."""

from __future__ import annotations

import os
import re
import tempfile
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from caplab_agent.injectors.partition.addresses import AddressRefused, Partition, permitted
from caplab_agent.injectors.partition.rules import address, change_addresses, create_table, parse_table, replace_table
from hypothesis import given, settings
from hypothesis import strategies as st
from support.agent.fake_nft import FakeNft, duration
from support.agent.fakes import FakeClock
from support.effort import cases

pytestmark = pytest.mark.property
V4 = st.integers(0x01000000, 0x7EFFFFFF).map(lambda number: str(IPv4Address(number)))
V6 = st.integers(0xFC << 120, (0xFE << 120) - 1).map(lambda number: str(IPv6Address(number)))
NEVER = st.sampled_from(
    ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "224.0.0.251", "ff02::1"]
)
RUBBISH = st.one_of(st.text(max_size=30), st.sampled_from(["1.2.3.4 }; flush ruleset", "fe80::1%a } x", "1.2.3.4/8"]))
ADDRESSES = st.lists(st.one_of(V4, V6), max_size=12)
ANYTHING = st.lists(st.one_of(V4, V6, NEVER, RUBBISH), max_size=6)
_WORD = re.compile(r"[0-9A-Fa-f:.]*[.:][0-9A-Fa-f:.]+")


def named(text: str) -> set[str]:
    """Every address in a transaction, wherever it stands."""
    return {str(ip_address(word)) for word in _WORD.findall(text)}


@settings(max_examples=cases(400))
@given(ANYTHING, ANYTHING, st.lists(st.one_of(V4, V6), max_size=3), st.integers(0, 3))
def test_no_transaction_names_what_the_guard_refuses(
    sources: list[str], destinations: list[str], protected_addresses: list[str], own: int
) -> None:
    protected_addresses = [*protected_addresses, *sources[:own]]  # an own address among those that are asked for
    protected_addresses = [each for each in protected_addresses if is_address(each)]
    never = {str(address(each)) for each in protected_addresses}
    partition = Partition(tuple(sources), tuple(destinations))
    if any(not is_address(each) or str(address(each)) in never or is_nobodys(each) for each in sources + destinations):
        with pytest.raises(AddressRefused, match=r"status.targets\[\].drops(From|To) names "):
            permitted(partition, tuple(protected_addresses))
        return
    drops = permitted(partition, tuple(protected_addresses))
    requested = {str(address(each)) for each in (*sources, *destinations)}
    for text in (create_table("f1", drops, 5), replace_table("f1", drops, 5), change_addresses("f1", drops, 5)):
        assert named(text) == requested
        assert not named(text) & never
        assert not any(ip_address(each).is_loopback for each in named(text))
        assert set(re.findall(r"caplab_\w+", text)) == {"caplab_f1"}


def is_nobodys(text: str) -> bool:
    parsed = address(text)
    return parsed.is_loopback or parsed.is_unspecified or parsed.is_multicast


def is_address(text: str) -> bool:
    try:
        address(text)
    except ValueError:
        return False
    return True


@settings(max_examples=cases(300))
@given(ADDRESSES, ADDRESSES, st.integers(1, 3_602_000), st.integers(0, 10_000))
def test_addresses_and_packets_come_back_as_they_were(
    sources: list[str], destinations: list[str], milliseconds: int, later_ms: int
) -> None:
    drops = permitted(Partition(tuple(sources), tuple(destinations)), ())
    clock = FakeClock()
    nft = FakeNft(clock=clock)
    senders = sorted(set(drops.sources), key=str)
    with tempfile.TemporaryFile() as file:  # stands for a network namespace
        enter = ("nsenter", f"--net=/proc/self/fd/{file.fileno()}", "nft")
        assert nft((*enter, "-f", "-"), create_table("f1", drops, milliseconds), (file.fileno(),))().code == 0
        for packets, each in enumerate(senders, 1):
            nft.drop(os.fstat(file.fileno()).st_ino, str(each), packets, f"in{each.version}")
        clock.ns += later_ms * 1_000_000
        printed = nft((*enter, "list", "table", "inet", "caplab_f1"), "", (file.fileno(),))().out
    counters = parse_table(printed)
    dropped = {(drop.direction, drop.address, drop.packets, drop.age_ms) for drop in counters.dropped}
    assert dropped == {("from", each, packets, later_ms) for packets, each in enumerate(senders, 1)}
    assert counters.in_force == (bool(drops.sources or drops.destinations) and later_ms < milliseconds)


@given(st.integers(1, 7_200_000))
def test_every_duration_that_nft_prints_is_read_to_the_millisecond(left: int) -> None:
    element = f"10.0.0.1 counter packets 1 bytes 9 expires {duration(left)}"
    text = f"table inet x {{\n\tset in4 {{\n\t\telements = {{ {element} }}\n\t}}\n}}\n"
    assert parse_table(text).dropped[0].age_ms == 7_200_000 - left
