"""What kopf is told: that rounds go on, and that the lab's kinds are served before they are watched."""

from __future__ import annotations

import asyncio
from typing import Any

import kopf
import pytest
from caplab_operator import settings as operator_settings
from caplab_operator.handlers import wiring
from caplab_operator.health import BOUND_SECONDS, Health

from caplab.contract.engines import ENGINES
from caplab.contract.names import GROUP

PLURALS = {"faults", "runs", *(engine.plural for engine in ENGINES)}


class Served:
    """An API server that has no kinds at first."""

    def __init__(self, *answers: set[str]) -> None:
        self.answers = list(answers)
        self.calls = 0

    def serves(self, group: str, version: str) -> set[str]:
        assert (group, version) == (GROUP, "v1alpha1")
        self.calls += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def lab(api: Any = None, **fields: Any) -> wiring.Lab:
    return wiring.Lab(api=api or Served(PLURALS), **fields)  # type: ignore[arg-type]


def test_an_operator_that_began_before_its_kinds_were_served_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "_ROUND_SECONDS", 0.001)
    served = Served(set(), PLURALS - {"rediscluster", "redisclusters"}, PLURALS)
    asyncio.run(wiring._kinds_are_served(lab(served)))
    assert served.calls == 3


def test_one_whose_kinds_never_come_ends_and_says_which_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "_ROUND_SECONDS", 0.001)
    monkeypatch.setattr(wiring, "_KINDS_SECONDS", 0.01)
    with pytest.raises(kopf.PermanentError, match=r"no kinds faults, runs\. Hint"):
        asyncio.run(wiring._kinds_are_served(lab(Served(PLURALS - {"faults", "runs"}))))


def test_kinds_that_come_later_are_watched_too() -> None:
    settings = kopf.OperatorSettings()
    operator_settings.configure(settings)
    assert not settings.scanning.disabled
    assert settings.watching.client_timeout


def test_the_liveness_probe_fails_when_rounds_stop_and_passes_while_they_go_on() -> None:
    registry, seconds = kopf.OperatorRegistry(), [0.0]
    running = lab(health=Health(lambda: seconds[0]))
    wiring._register_life(registry, running)
    probe: Any = next(handler.fn for handler in registry._activities.get_all_handlers() if handler.id == "rounds")
    running.health.note("faults")
    assert asyncio.run(probe()) == "all rounds make progress"
    seconds[0] = BOUND_SECONDS + 1
    with pytest.raises(kopf.PermanentError, match="faults: no round has ended for"):
        asyncio.run(probe())


def test_a_round_that_fails_is_followed_by_the_next_one() -> None:
    async def main() -> None:
        rounds = []

        async def one_round(_lab: wiring.Lab) -> None:
            rounds.append(1)
            if len(rounds) == 1:
                raise OSError("no API server")

        task = asyncio.create_task(wiring._in_rounds("faults", one_round, lab()))
        async with asyncio.timeout(60):
            while len(rounds) < 2:
                await asyncio.sleep(0.001)
        task.cancel()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wiring, "_ROUND_SECONDS", 0.001)
        asyncio.run(main())
