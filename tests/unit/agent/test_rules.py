"""The rules of a partition (pure): what nft is given, what its tables tell, and what the evidence says of that."""

from __future__ import annotations

import pytest
from caplab_agent.injectors.partition.evidence import first_drop_ns, with_counts, with_drops, with_new_network
from caplab_agent.injectors.partition.rules import (
    DropAddresses,
    DropCount,
    DropCounters,
    address,
    change_addresses,
    create_table,
    parse_table,
    replace_table,
    table_name,
)

MILLISECOND = 1_000_000
PEER, SIX = address("10.244.1.5"), address("fd00::5")
# As nft 1.0.6 prints it; newer ones print the elements' own time-out beside what is left of it.
PRINTED = """table inet caplab_f1 {
    set drop_from4 {
        type ipv4_addr
        flags timeout
        elements = { 10.244.1.5 timeout 10s500ms expires 4s176ms, 10.244.1.6 timeout 10s500ms expires 4s176ms }
    }

    set in4 {
        type ipv4_addr
        size 1024
        flags dynamic,timeout
        timeout 2h
        elements = { 10.244.1.5 counter packets 37 bytes 2220 expires 1h59m59s384ms,
             10.244.1.6 counter packets 1 bytes 60 expires 1h59m }
    }

    set out6 {
        type ipv6_addr
        size 1024
        flags dynamic,timeout
        timeout 2h
        elements = { fd00::5 timeout 2h expires 1h59m58s counter packets 2 bytes 120 }
    }

    chain drop_in {
        type filter hook prerouting priority raw; policy accept;
        iifname "lo" accept
        ip saddr @drop_from4 drop
    }
}
"""


def test_a_printed_table_tells_packets_and_how_long_ago_the_first_was() -> None:
    assert parse_table(PRINTED) == DropCounters(
        (
            DropCount("from", PEER, 37, 616),
            DropCount("from", address("10.244.1.6"), 1, 60_000),
            DropCount("to", SIX, 2, 2000),
        ),
        in_force=True,
    )


def test_a_table_whose_addresses_have_run_out_cuts_no_more() -> None:
    ended = PRINTED.replace(
        "elements = { 10.244.1.5 timeout 10s500ms expires 4s176ms, 10.244.1.6 timeout", "x"
    ).replace(" 10s500ms expires 4s176ms }", "")
    assert not parse_table(ended).in_force
    assert len(parse_table(ended).dropped) == 3
    assert parse_table("") == DropCounters((), in_force=False)


def test_an_element_of_this_very_moment_is_no_time_old() -> None:
    text = "table inet x {\n\tset in4 {\n\t\telements = { 10.0.0.1 counter packets 1 bytes 9 }\n\t}\n}\n"
    assert parse_table(text).dropped == (DropCount("from", address("10.0.0.1"), 1, 0),)
    assert parse_table(text.replace("packets 1", "packets 0")).dropped == ()


def test_a_table_is_made_or_replaced_in_one_transaction_and_named_after_its_fault() -> None:
    drops = DropAddresses((PEER, PEER, SIX), ())
    assert table_name("1b-2c") == "caplab_1b_2c"
    made = create_table("1b-2c", drops, 1500)
    assert made.startswith("create table inet caplab_1b_2c\ntable inet caplab_1b_2c {\n")
    assert made.count(f"{PEER} timeout 1500ms") == 1
    assert "set drop_from6 { type ipv6_addr; flags timeout; elements = { fd00::5 timeout 1500ms }; }" in made
    assert "set drop_to4 { type ipv4_addr; flags timeout; }" in made
    again = replace_table("1b-2c", drops, 1500)
    assert again.startswith("table inet caplab_1b_2c\ndelete table inet caplab_1b_2c\ntable inet caplab_1b_2c {\n")


def test_what_a_pod_says_to_itself_is_let_through_ahead_of_every_rule() -> None:
    chains = create_table("f1", DropAddresses((PEER,), (PEER,)), 1).split("  chain ")[1:]
    assert len(chains) == 4
    for chain in chains:
        assert chain.index('name "lo" accept') < chain.index("@")


def test_every_fault_counts_before_any_fault_drops() -> None:
    text = create_table("f1", DropAddresses((PEER,), (PEER,)), 1)
    for way, hook in (("in", "prerouting"), ("out", "output")):
        assert f"chain count_{way} {{ type filter hook {hook} priority raw - 1;" in text
        assert f"chain drop_{way} {{ type filter hook {hook} priority raw;" in text


def test_a_change_fills_the_sets_of_addresses_and_leaves_the_counts_alone() -> None:
    assert change_addresses("f1", DropAddresses((PEER,), ()), 700).splitlines() == [
        "flush set inet caplab_f1 drop_from4",
        "flush set inet caplab_f1 drop_from6",
        "flush set inet caplab_f1 drop_to4",
        "flush set inet caplab_f1 drop_to6",
        f"add element inet caplab_f1 drop_from4 {{ {PEER} timeout 700ms }}",
    ]


@pytest.mark.parametrize("text", ["", "x", "10.0.0", "10.0.0.1/8", "fe80::1%eth0", "fd00::1%} flush ruleset", "1 2"])
def test_what_is_no_address_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        address(text)


def test_evidence_names_the_most_dropped_addresses_and_sums_up_the_rest() -> None:
    many = tuple(DropCount("from", address(f"10.0.0.{n}"), n, 500) for n in range(1, 41))
    lines = with_counts(("other",), DropCounters(many, True), 1000 * MILLISECOND, 400 * MILLISECOND)
    assert lines[0] == "other"
    assert lines[1] == "dropped 40 packets from 10.0.0.40, first 100 ms after injection"
    assert lines[-1] == "dropped 406 packets of 28 other addresses"
    assert len(lines) <= 20
    assert with_counts(lines, DropCounters((), True), 1, 1) == lines


def test_the_first_packet_is_never_earlier_than_the_injection() -> None:
    counters = DropCounters((DropCount("from", PEER, 1, 50), DropCount("to", PEER, 9, 20)), True)
    assert first_drop_ns(counters, 1000 * MILLISECOND, 900 * MILLISECOND) == 950 * MILLISECOND
    assert first_drop_ns(counters, 1000 * MILLISECOND, 970 * MILLISECOND) == 970 * MILLISECOND
    assert "first 0 ms after injection" in with_counts((), counters, 1000 * MILLISECOND, 970 * MILLISECOND)[1]


def test_lines_about_the_present_take_each_others_place() -> None:
    lines = with_drops(with_drops(("x",), DropAddresses((PEER,), ())), DropAddresses((PEER, SIX), (PEER,)))
    assert lines == ("drops packets from 2 addresses and to 1 address", "x")
    assert with_new_network(with_new_network(("x",), 10**9, anew=True), 3 * 10**9, anew=False) == (
        "x",
        "the pod's network was recreated: rules installed again 3.0 s after injection",
    )
