from __future__ import annotations

import asyncio
import time

import pytest
from caplab_probes import pulse as module
from caplab_probes.pulse import pulse

BLOCKED_SECONDS = 0.15


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD_SECONDS", 0.01)
    monkeypatch.setattr(module, "STANDSTILL_SECONDS", 0.1)


def told_while(blocked_seconds: float) -> list[float]:
    """What is told of an event loop that somebody blocks for so long."""
    told: list[float] = []

    async def work() -> None:
        async with pulse(told.append):
            await asyncio.sleep(0.02)
            time.sleep(blocked_seconds)  # that is what is to be seen
            await asyncio.sleep(0.02)

    asyncio.run(work())
    return told


def test_a_loop_that_stood_still_is_told_with_how_long() -> None:
    assert max(told_while(BLOCKED_SECONDS)) > BLOCKED_SECONDS - 0.02


def test_a_loop_that_goes_on_has_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STANDSTILL_SECONDS", 10.0)  # a busy machine is no finding
    assert told_while(BLOCKED_SECONDS) == []


def test_the_pulse_ends_with_its_block() -> None:
    async def work() -> set[str]:
        async with pulse(lambda _: None):
            pass
        return {task.get_name() for task in asyncio.all_tasks()}

    assert "pulse" not in asyncio.run(work())
