"""The addresses that a partition may drop (pure)."""

from __future__ import annotations

from typing import Any

import pytest
from caplab_agent.injectors.partition.addresses import AddressRefused, Partition, own_addresses, permitted
from caplab_agent.injectors.partition.rules import DropAddresses, address

POD: Any = {
    "status": {"podIP": "10.244.1.7", "podIPs": [{"ip": "10.244.1.7"}, {"ip": "fd00::7"}], "hostIP": "10.89.0.3"},
}


@pytest.mark.parametrize(
    "protected",
    [
        "10.244.1.7",  # the pod's own
        "fd00::7",
        "FD00:0::7",
        "10.89.0.3",  # its node's
        "::ffff:10.89.0.3",
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "ff02::1",
        "10.0.0.0/8",
        "pg-1",
        "",
        "10.0.0.1; flush ruleset",
        "fe80::1%eth0",
        "fe80::1%} flush ruleset",
    ],
)
@pytest.mark.parametrize("field", ["dropsFrom", "dropsTo"])
def test_addresses_that_must_not_be_cut_are_refused_by_field(protected: str, field: str) -> None:
    lists = (("10.244.1.5", protected), ()) if field == "dropsFrom" else ((), (protected,))
    with pytest.raises(AddressRefused, match=r"Hint: ") as refused:
        permitted(Partition(*lists), own_addresses(POD))
    assert f"status.targets[].{field} names" in str(refused.value)


def test_permitted_addresses_are_values_and_a_pods_own_are_all_that_its_status_names() -> None:
    assert own_addresses(POD) == ("10.244.1.7", "10.89.0.3", "fd00::7")
    assert own_addresses({"status": {"hostIPs": [{"ip": "10.89.0.4"}]}}) == ("10.89.0.4",)
    assert own_addresses(None) == ()
    drops = permitted(Partition(("::ffff:10.0.0.1",), ("FD00::5",)), own_addresses(POD))
    assert drops == DropAddresses((address("10.0.0.1"),), (address("fd00::5"),))
    with pytest.raises(AddressRefused):
        permitted(Partition(("10.0.0.1",), ()), ("10.0.0.1",))
