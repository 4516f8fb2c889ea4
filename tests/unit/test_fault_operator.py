from __future__ import annotations

from typing import Any

import pytest
from caplab_operator.exporter import latest, metrics
from caplab_operator.faults.moves import (
    FINALIZER,
    Release,
    Resolve,
    Say,
    decide,
    phase_of,
    refused,
    resolved,
    unanswered,
)
from caplab_operator.faults.targets import Member, NoTarget, choose, entries
from caplab_operator.handlers.watched import members_hit

MEMBERS = [Member(f"u{i}", f"pg-{i}", f"node-{i}", "abc"[i], primary=i == 1) for i in range(3)]


def target(role: str = "primary", count: int = 1) -> dict[str, Any]:
    return {"kind": "PostgresCluster", "name": "pg", "role": role, "count": count}


def fault(status: dict[str, Any] | None = None, going: bool = False, held: bool = True) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "f", "namespace": "n", "uid": "u", "creationTimestamp": "2026"}
    if going:
        metadata["deletionTimestamp"] = "now"
    if held:
        metadata["finalizers"] = [FINALIZER, "somebody.else/own"]
    return {"metadata": metadata, "spec": {}, "status": status or {}}


def entry(number: int, state: str | None = None, **more: Any) -> dict[str, Any]:
    plain = entries(MEMBERS)[number] | more
    return plain | ({"state": state} if state else {})


def test_the_primary_is_who_the_authority_says() -> None:
    assert [one.pod for one in choose(target(), 0, MEMBERS)] == ["pg-1"]


def test_which_replica_is_the_seeds_choice_and_always_the_same() -> None:
    chosen = {choose(target("replica"), seed, MEMBERS)[0].pod for seed in range(20)}
    assert chosen == {"pg-0", "pg-2"}
    assert choose(target("any"), 7, MEMBERS) == choose(target("any"), 7, list(reversed(MEMBERS)))


@pytest.mark.parametrize(
    ("asked", "members", "why"),
    [
        (target(), [], "has no member"),
        (target(), [MEMBERS[0], MEMBERS[2]], "0 of role primary"),
        (target("replica", 3), MEMBERS, "2 of role replica"),
        (target("any", 3), MEMBERS, "every member"),
        (target(), [Member("u", "pg-0", "", "", primary=True)], "has no member"),
    ],
)
def test_a_fault_without_a_fitting_target_is_refused_with_the_mend(
    asked: dict[str, Any], members: list[Member], why: str
) -> None:
    with pytest.raises(NoTarget, match=why) as found:
        choose(asked, 0, members)
    assert "Mend:" in str(found.value)


def test_a_cluster_of_one_may_lose_it() -> None:
    assert len(choose(target("any"), 0, MEMBERS[:1])) == 1


def test_a_new_fault_is_resolved_once() -> None:
    assert decide(fault(held=False)) == Resolve()
    assert decide(fault(resolved(entries(MEMBERS[:1]), "then"))) is None


def test_the_phase_follows_the_agents() -> None:
    def of(*states: str | None, going: bool = False) -> str:
        return phase_of([entry(i, state) for i, state in enumerate(states)], going, ())

    assert of(None, "Active") == "Pending"
    assert of("Active", "Active") == "Active"
    assert of("Active", "Active", going=True) == of("Active", "Healed") == "Healing"
    assert of("Healed", "Healed") == "Healed"
    assert of("Healed", "Failed") == "Failed"
    assert of(None, going=True) == "Healing"


def test_a_change_of_phase_keeps_what_is_the_operators_and_nothing_else() -> None:
    status = {"phase": "Pending", "until": "then", "targets": [entry(0, "Active", proven=True, evidence=["x"])]}
    assert decide(fault(status)) == Say({"phase": "Active", "until": "then", "targets": [entry(0)]})


def test_the_finalizer_goes_when_every_target_has_ended_and_not_before() -> None:
    def at(*states: str | None) -> dict[str, Any]:
        return {"phase": "Healing", "targets": [entry(i, state) for i, state in enumerate(states)]}

    assert decide(fault(at("Healed", "Active"), going=True)) is None
    assert decide(fault(at("Healed", None), going=True)) is None
    assert decide(fault(at("Healed", "Failed"), going=True)) == Say(
        {"phase": "Failed", "targets": [entry(0), entry(1)]}
    )
    assert decide(fault({**at("Healed", "Healed"), "phase": "Healed"}, going=True)) == Release()
    assert decide(fault({**at("Healed", "Healed"), "phase": "Healed"})) == Release()
    assert decide(fault({**at("Healed", "Healed"), "phase": "Healed"}, held=False)) is None


def test_a_fault_that_hit_nobody_holds_nobody() -> None:
    assert decide(fault(refused("no primary"), going=True)) == Release()
    assert decide(fault(refused("no primary"), held=False)) is None
    assert decide(fault(going=True)) == Release()
    assert decide(fault(going=True, held=False)) is None


def test_a_target_on_a_node_that_is_gone_has_ended() -> None:
    status = {"phase": "Healing", "targets": [entry(0), entry(1, "Healed")]}
    body = fault(status, going=True)
    assert unanswered(body) == ["node-0"]
    assert decide(body, ["node-0"]) == Say({"phase": "Healed", "targets": [entry(0), entry(1)]})
    assert unanswered(fault(status)) == []


def test_members_hit_by_a_fault_are_known_by_its_name() -> None:
    body = fault({"phase": "Active", "targets": [entry(1, "Active", injectedAt="then"), entry(2)]})
    assert members_hit([body], "n") == {"pg-1": "f"}
    assert members_hit([body], "elsewhere") == {}


def run(ended: str | None, verdict: str, lost: int, mode: str = "async") -> dict[str, Any]:
    row = {"vantage": "a", "route": "direct", "lost": lost}
    status: dict[str, Any] = {"verdict": verdict, "figures": {"lost": lost, "failoverSeconds": 1.5}, "byVantage": [row]}
    if ended:
        status["endedAt"] = f"2026-01-01T00:00:{ended}Z"
    spec = {"experiment": "kill-primary", "engine": "postgres", "mode": mode, "fault": "kill-primary"}
    return {"spec": spec, "status": status}


def test_the_latest_run_of_each_kind_is_exported() -> None:
    runs = [run("02", "invalid", 3), run("01", "valid", 0), run(None, "valid", 9), run("05", "valid", 1, "quorum")]
    assert latest(runs) == [runs[0], runs[3]]
    samples = {
        (sample.name, sample.labels["mode"], sample.labels.get("vantage", sample.labels.get("verdict"))): sample.value
        for family in metrics(latest(runs))
        for sample in family.samples
    }
    assert samples["caplab_run_lost_writes", "async", "all"] == 3
    assert samples["caplab_run_lost_writes", "quorum", "a"] == 1
    assert samples["caplab_run_failover_seconds", "async", "all"] == 1.5
    assert samples["caplab_run_verdict", "async", "invalid"] == 1
    assert samples["caplab_run_verdict", "async", "valid"] == 0
    assert not any(name == "caplab_run_stale_reads" for name, *_ in samples)  # not measured: no sample
