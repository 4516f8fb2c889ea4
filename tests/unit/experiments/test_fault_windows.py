"""Faults and lost nodes as windows of a run's record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from chaoscaplab.faults.windows import window_of_node, windows_of
from support.runs.run_faults import entry, fault, lost_node

from caplab.check.finding import Context
from caplab.model.runs import WallAnchor

CUT: dict[str, Any] = {"partition": {"from": "peers"}}


@pytest.mark.parametrize(("kind", "details"), [("kill", {}), ("freeze", {}), *CUT.items()])
def test_a_window_says_which_kind_of_fault_it_was(kind: str, details: dict[str, Any]) -> None:
    (window,) = windows_of(fault(entry(), what={kind: details}))
    assert (window.kind, window.target) == (kind, "pg-0")


def test_the_far_ends_of_a_partition_prove_it_and_have_no_windows() -> None:
    target = entry(evidence=["cut from 3 addresses"], proven=False)
    silent, far = (
        entry("pg-1", end="other", proven=False),
        entry("pg-2", end="other", proven=True, evidence=["12 packets"]),
    )
    (window,) = windows_of(fault(target, silent, far, what=CUT))
    assert (window.target, window.proven) == ("pg-0", True)
    assert window.evidence == ("cut from 3 addresses", "pg-2: 12 packets")
    (unproven,) = windows_of(fault(target, silent, what=CUT))
    assert not unproven.proven
    (own,) = windows_of(fault({**target, "proven": True, "end": "target"}, silent, what=CUT))
    assert own.proven


def test_evidence_of_many_far_ends_stays_readable_and_that_which_proves_comes_first() -> None:
    ends = [entry(f"pg-{n}", end="other", evidence=["rules", "none dropped"]) for n in range(1, 9)]
    ends.append(entry("pg-9", end="other", evidence=["9 packets"], proven=True))
    (window,) = windows_of(fault(entry(evidence=["own"]), *ends, what=CUT))
    assert len(window.evidence) == 8
    assert window.evidence[:2] == ("own", "pg-9: 9 packets")
    assert window.evidence[-1] == "and 11 more lines"


def test_a_pod_that_went_and_the_one_in_its_place_are_two_windows_of_one_fault() -> None:
    gone = entry(state="Gone", healedNs=70, proven=True)
    after = entry(uid="new", replaces="uid of pg-0", state="Healed", injectedNs=90, healedNs=200, proven=True)
    windows = windows_of(fault(gone, after, what={"freeze": {}}))
    assert [(window.target, window.injected_ns, window.healed_ns) for window in windows] == [
        ("pg-0", 5, 70),
        ("pg-0 (recreated)", 90, 200),
    ]
    # Whoever measures sees one fault: from the first injection to the last heal.
    context = Context(fault_windows=tuple(windows))
    assert (context.injected_ns, context.healed_ns) == (5, 200)


def test_a_target_that_was_never_hit_and_a_fault_without_targets_have_no_window() -> None:
    never = entry()
    del never["injectedNs"]
    assert windows_of(fault(never)) == []
    assert windows_of(replace(fault(), status=None)) == []


ANCHOR = WallAnchor(monotonic_ns=500, unix_ns=10**18)


def test_a_lost_node_is_a_window_on_the_clock_of_the_histories() -> None:
    window = window_of_node(lost_node(healed_ns=9_000), "boot", ANCHOR)
    assert window
    assert (window.kind, window.target, window.injected_ns, window.healed_ns) == (
        "pause-node", "caplab-worker", 1_000, 9_000,
    )  # fmt: skip
    assert window.proven
    assert window.evidence == ("read back as paused",)
    assert window_of_node(lost_node(state=""), "boot", ANCHOR) is None


@pytest.mark.parametrize("theirs", ["another", ""])
def test_a_host_whose_clock_is_not_that_of_the_histories_proves_nothing(theirs: str) -> None:
    window = window_of_node(lost_node(boot_id=theirs, healed_ns=9_000), "boot", ANCHOR)
    assert window
    assert not window.proven
    assert window.evidence[-1] == "the host's clock is not that of the histories"
    # By the wall's clock, the injection is where the anchor is.
    assert (window.injected_ns, window.healed_ns) == (500, 8_500)


def test_a_lost_node_with_a_problem_is_unproven_and_says_so() -> None:
    window = window_of_node(lost_node(proven=False, problem="it ran again too early"), "boot", ANCHOR)
    assert window
    assert (window.proven, window.evidence[-1]) == (False, "it ran again too early")
