"""What a prober knows of its own acknowledged writes."""

from __future__ import annotations

from caplab_probes.acked import KEPT, AckedWrites
from hypothesis import given
from hypothesis import strategies as some

VERSIONS, MOMENTS = some.integers(1, 9), some.integers(0, 20)


def test_the_oldest_ack_that_a_read_missed_is_known() -> None:
    acked = AckedWrites()
    for version, ack_ns in ((3, 10), (5, 30), (4, 40)):  # the write of 4 was slow
        acked.note("k", version, ack_ns)
    assert acked.missed_since("k", 3, 50) == 30
    assert acked.missed_since("k", 4, 50) == 30
    assert acked.missed_since("k", 5, 50) is None
    assert acked.missed_since("k", None, 50) == 10
    assert acked.missed_since("k", 3, 30) is None  # acknowledged as it began: not before
    assert acked.missed_since("other", 1, 50) is None


def test_memory_is_bounded_and_the_newest_are_kept() -> None:
    acked = AckedWrites()
    for version in range(10 * KEPT):
        acked.note("k", version, version)
    assert len(acked._acks["k"]) == KEPT
    # The oldest that it missed is forgotten; that it missed some is not.
    assert acked.missed_since("k", 0, 99 * KEPT) == 9 * KEPT


@given(some.lists(some.tuples(VERSIONS, MOMENTS), max_size=12), some.none() | VERSIONS, MOMENTS)
def test_it_is_what_a_look_at_every_write_finds(
    writes: list[tuple[int, int]], returned: int | None, invoke_ns: int
) -> None:
    acked = AckedWrites()
    for version, ack_ns in writes:
        acked.note("k", version, ack_ns)
    missed = [ack_ns for version, ack_ns in writes if version > (returned or 0) and ack_ns < invoke_ns]
    assert acked.missed_since("k", returned, invoke_ns) == (min(missed) if missed else None)
