"""The six rules, one by one, and what the cache holds."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from caplab_probes.cache import entries
from caplab_probes.cache.entries import Entry
from caplab_probes.cache.popularity import rank_of
from caplab_probes.cache.protections import PROTECTIONS, CacheTiming, ReadAction
from caplab_probes.load.mixing import mix

TERMS = CacheTiming(ttl_seconds=10.0, grace_seconds=5.0)


def entry(remaining_seconds: float, load_seconds: float = 0.05) -> Entry:
    return Entry(7, load_seconds, remaining_seconds)


@pytest.mark.parametrize("name", PROTECTIONS)
def test_where_there_is_nothing_a_reader_loads_and_what_is_fresh_is_served(name: str) -> None:
    rule = PROTECTIONS[name]
    assert rule.action_on(TERMS, None, 0.5) is ReadAction.LOAD
    fresh = entry(rule.lifetime(TERMS, 1e-9))
    assert rule.action_on(TERMS, fresh, 0.5) is ReadAction.SERVE


@pytest.mark.parametrize(
    ("name", "remaining_seconds", "action"),
    [
        ("none", 0.001, ReadAction.SERVE),
        ("lock", 0.001, ReadAction.SERVE),
        ("jitter", 0.001, ReadAction.SERVE),
        ("refresh-ahead", 2.001, ReadAction.SERVE),
        ("refresh-ahead", 1.999, ReadAction.REFRESH),
        ("stale-while-revalidate", 5.001, ReadAction.SERVE),
        ("stale-while-revalidate", 4.999, ReadAction.REFRESH),
        # A load takes 0.05 s: at half a chance it is early by 0.035 s.
        ("xfetch", 0.036, ReadAction.SERVE),
        ("xfetch", 0.034, ReadAction.LOAD),
    ],
)
def test_when_a_reader_does_something_before_the_entry_is_gone(
    name: str, remaining_seconds: float, action: ReadAction
) -> None:
    assert PROTECTIONS[name].action_on(TERMS, entry(remaining_seconds), 0.5) is action


def test_how_long_an_entry_stays() -> None:
    stays = {name: rule.lifetime(TERMS, 0.5) for name, rule in PROTECTIONS.items()}
    assert stays == {
        "none": 10,
        "lock": 10,
        "xfetch": 10,
        "jitter": 7.5,
        "refresh-ahead": 10,
        "stale-while-revalidate": 15,
    }
    drawn = [PROTECTIONS["jitter"].lifetime(TERMS, draw / 1000) for draw in range(1, 1001)]
    assert (min(drawn), max(drawn)) == pytest.approx((5, 10), rel=0.01)


def test_who_loads_alone() -> None:
    exclusive = {name: rule.exclusive for name, rule in PROTECTIONS.items() if rule.exclusive}
    assert exclusive == {
        "lock": {ReadAction.LOAD},
        "refresh-ahead": {ReadAction.REFRESH},
        "stale-while-revalidate": {ReadAction.REFRESH},
    }


def test_xfetch_loads_earlier_the_longer_a_load_takes_and_nearly_never_long_before() -> None:
    draws = [draw / 10_000 for draw in range(1, 10_001)]

    def early(remaining_seconds: float, load_seconds: float) -> float:
        actions = Counter(
            PROTECTIONS["xfetch"].action_on(TERMS, entry(remaining_seconds, load_seconds), draw) for draw in draws
        )
        return actions[ReadAction.LOAD] / len(draws)

    # P(-d ln u >= r) = exp(-r / d)
    assert early(0.05, 0.05) == pytest.approx(math.exp(-1), abs=0.001)
    assert early(0.1, 0.05) == pytest.approx(math.exp(-2), abs=0.001)
    assert early(0.1, 0.1) == pytest.approx(math.exp(-1), abs=0.001)
    assert early(5.0, 0.05) == 0


def test_an_entry_is_read_back_and_what_is_none_is_not() -> None:
    text = entries.encode(123, 0.0507).encode()
    assert entries.decode(text, 1500) == Entry(123, 0.0507, 1.5)
    assert entries.decode(text, -1) == Entry(123, 0.0507, math.inf)
    assert entries.decode(None, -2) is None
    assert entries.decode(text, -2) is None  # it went between the two commands
    for foreign in (b"", b"5", b"x 5", b"5 x", b"-5 5"):
        assert entries.decode(foreign, 1000) is None


def test_few_keys_are_wanted_by_most() -> None:
    draws = [mix(1, number) for number in range(20_000)]
    wanted = Counter(rank_of(draw, 20, 1.0) for draw in draws)
    whole = sum(1 / place for place in range(1, 21))
    for key in (0, 1, 9, 19):
        assert wanted[key] / len(draws) == pytest.approx(1 / (key + 1) / whole, abs=0.01)
    alike = Counter(rank_of(draw, 20, 0.0) for draw in draws)
    assert all(count / len(draws) == pytest.approx(0.05, abs=0.01) for count in alike.values())
    assert rank_of((1 << 64) - 1, 3, 0.0) == 2
    assert rank_of(0, 3, 0.0) == 0
