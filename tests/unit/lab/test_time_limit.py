"""Work is waited for only so long."""

from __future__ import annotations

import threading

import pytest

from caplab.time_limit import TimeLimitExceeded, with_time_limit


def test_what_the_work_comes_to() -> None:
    assert with_time_limit(5, lambda: 7) == 7


def test_what_the_work_raises_a_time_out_of_its_own_among_it() -> None:
    def broken() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own") as raised:
        with_time_limit(5, broken)
    assert not isinstance(raised.value, TimeLimitExceeded)


def test_work_that_does_not_end_is_left() -> None:
    freed = threading.Event()
    with pytest.raises(TimeLimitExceeded, match=r"did not end in 0\.05 s"):
        with_time_limit(0.05, freed.wait)
    freed.set()
