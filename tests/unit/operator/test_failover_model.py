"""Every order of a failover's steps, with three members and two deaths: never do two members write."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import pytest
from caplab_operator.engines.postgres.failover import release
from support.failover.model import MEMBERS, Rules, State, canonical, initial, steps

from caplab.contract.deaths import Death


def explored(rules: Rules, most: int = 2_000_000) -> tuple[int, list[str]]:
    """Try every order. Returns how many states there are, and the steps to the first with two writers, [] if none."""
    begin = initial()
    came: dict[State, tuple[State, str] | None] = {begin: None}
    waiting = deque([begin])
    while waiting:
        state = waiting.popleft()
        for name, step in steps(state, rules):
            after = canonical(step)
            if after in came:
                continue
            came[after] = (state, name)
            if len(after.writers()) > 1:
                return len(came), _path(came, after)
            waiting.append(after)
            assert len(came) < most, "the model is larger than it was"
    return len(came), []


def _path(came: dict[State, tuple[State, str] | None], state: State) -> list[str]:
    names = []
    while (before := came[state]) is not None:
        state, name = before
        names.append(name)
    return names[::-1]


def test_in_no_order_do_two_members_write() -> None:
    states, path = explored(Rules())
    assert path == []
    print(f"{states:,} states of {len(MEMBERS)} members")
    assert states > 10_000


def without_the_time_of_death(lock: dict[str, Any], pod: dict[str, Any], death: Death) -> str:
    return release.refusal(lock, pod, replace(death, unix_ns=2**62))


def whoever_holds_it(lock: dict[str, Any], pod: dict[str, Any], death: Death) -> str:
    holder = lock["metadata"]["annotations"].get(release.LEADER)
    return release.refusal(lock, {**pod, "metadata": {"name": holder}}, death) if holder else "nobody has it"


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(Rules(needs_death=False), id="silence taken for death"),
        pytest.param(Rules(tests_renewal=False), id="a patch that does not test the renewal"),
        pytest.param(Rules(refusal=without_the_time_of_death), id="a lock renewed after the death"),
        pytest.param(Rules(refusal=whoever_holds_it), id="another member's lock"),
    ],
)
def test_without_any_one_rule_two_members_write(rules: Rules) -> None:
    _, path = explored(rules)
    assert path, "the rule is not needed, or the model does not show why it is"
    print("\n".join(path))
