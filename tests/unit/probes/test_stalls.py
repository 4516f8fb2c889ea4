from __future__ import annotations

import asyncio
import time

import pytest
from caplab_probes.load import stalls as module
from caplab_probes.load.stalls import watch_stalls

BLOCKED_SECONDS = 0.15


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD_SECONDS", 0.01)
    monkeypatch.setattr(module, "STALL_SECONDS", 0.1)


def stalls_while(blocked_seconds: float) -> list[float]:
    """The stalls reported of an event loop that somebody blocks for so long."""
    stalls: list[float] = []

    async def work() -> None:
        async with watch_stalls(stalls.append):
            await asyncio.sleep(0.02)
            time.sleep(blocked_seconds)  # that is what is to be seen
            await asyncio.sleep(0.02)

    asyncio.run(work())
    return stalls


def test_a_stall_is_reported_with_how_long_it_was() -> None:
    assert max(stalls_while(BLOCKED_SECONDS)) > BLOCKED_SECONDS - 0.02


def test_a_loop_that_goes_on_reports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALL_SECONDS", 10.0)  # a busy machine is no finding
    assert stalls_while(BLOCKED_SECONDS) == []


def test_the_watch_for_stalls_ends_with_its_block() -> None:
    async def work() -> set[str]:
        async with watch_stalls(lambda _: None):
            pass
        return {task.get_name() for task in asyncio.all_tasks()}

    assert "stall-watch" not in asyncio.run(work())
