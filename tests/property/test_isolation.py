"""Isolation beside slow obvious truths: every order by force, and databases that keep a level by the textbook."""

from __future__ import annotations

from collections import Counter

import prove_isolation
import pytest


@pytest.fixture(scope="module")
def shown() -> tuple[Counter[str], list[str]]:
    return prove_isolation.databases(30)


def test_it_agrees_with_every_order_of_the_transactions() -> None:
    counts, wrong = prove_isolation.forced(60)
    assert wrong == []
    for model in ("read committed", "snapshot isolation", "serializable"):
        assert counts[f"lists {model} True"] > 0
        assert counts[f"lists {model} False"] > 0


def test_a_database_that_keeps_its_level_gives_no_false_alarm(shown: tuple[Counter[str], list[str]]) -> None:
    counts, alarms = shown
    assert alarms == []
    assert counts["strict realtime_cycles"] == counts["serializable g2_item"] == counts["snapshot g_single"] == 0
    assert counts["committed g1a"] == 0


@pytest.mark.parametrize(
    "anomaly",
    ["dirty g1a", "committed g_single", "committed lost_updates", "snapshot g2_item", "serializable realtime_cycles"],
)
def test_a_database_of_a_weaker_level_shows_what_that_allows(
    anomaly: str, shown: tuple[Counter[str], list[str]]
) -> None:
    assert shown[0][anomaly] > 0
