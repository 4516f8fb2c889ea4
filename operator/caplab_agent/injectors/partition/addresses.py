"""The addresses that a partition drops: as a Fault has them, and permitted on the node. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from caplab.contract.objects import TargetStatus
from caplab.contract.records import Record, body_field

from ...faults import Body
from .rules import Address, DropAddresses, address


@dataclass(frozen=True, slots=True)
class Partition(Record):
    """A fault that drops packets from and to these addresses in a pod's network.

    The addresses are sorted, without duplicates, and in the notation of the Fault.
    """

    drops_from: tuple[str, ...] = body_field(filled=())
    drops_to: tuple[str, ...] = body_field(filled=())


def partition_of(_: Record, target: TargetStatus) -> Partition:
    """Return what the operator resolved for an entry of status.targets."""
    return Partition(*(tuple(sorted(set(each or ()))) for each in (target.drops_from, target.drops_to)))


class AddressRefused(Exception):
    """An address whose packets must not be dropped; the message names the field, with a hint."""


def own_addresses(pod: Body | None) -> tuple[str, ...]:
    """List the addresses of a pod and of its node, as far as the pod's status names them yet."""
    return tuple(sorted({text for field in ("podIP", "hostIP") for text in _listed(pod, field)}))


def has_host_ip(pod: Body | None) -> bool:
    """Check whether a pod's status names its node's address: only then can a partition spare it."""
    return any(_listed(pod, "hostIP"))


def permitted(partition: Partition, protected_addresses: tuple[str, ...]) -> DropAddresses:
    """Parse the addresses of a partition.

    protected_addresses: those of the pod and of its node. Raises AddressRefused.
    """
    protected = {address(each) for each in protected_addresses}
    return DropAddresses(
        tuple(_permitted("dropsFrom", each, protected) for each in partition.drops_from),
        tuple(_permitted("dropsTo", each, protected) for each in partition.drops_to),
    )


def _permitted(field: str, text: str, protected: set[Address]) -> Address:
    hint = "Hint: leave this field to the operator; it must name only other pods and Services."
    try:
        parsed = address(text)
    except ValueError:
        raise AddressRefused(f"status.targets[].{field} names {text!r}, which is not an IP address. {hint}") from None
    if parsed in protected:
        raise AddressRefused(
            f"status.targets[].{field} names {text}, an address of the pod itself or of its node. {hint}"
        )
    if parsed.is_loopback or parsed.is_unspecified or parsed.is_multicast:
        raise AddressRefused(f"status.targets[].{field} names {text}, which is not an address of another pod. {hint}")
    return parsed


def _listed(pod: Body | None, field: str) -> Iterator[str]:
    status = (pod or {}).get("status") or {}
    several = (each.get("ip") for each in status.get(f"{field}s") or ())
    yield from (str(each) for each in (status.get(field), *several) if each)
