"""What a Fault's object says, in words and figures, and the table of it."""

from __future__ import annotations

from typing import Any

import pytest
from support.objects.listed_faults import NOW, UNREADABLE_PARTS, UNTIL, entry, fault, listed

from caplab.contract.objects import Target
from caplab.faults.listing import NOTHING, table
from caplab.faults.rows import read_fault, row_of, row_of_node, target_words


def test_a_fault_is_a_row_of_whom_it_hits_since_when_and_for_how_long() -> None:
    row = row_of(listed(entry(proven=True), entry("pg-2", injectedAt="2026-11-21T11:59:55Z")), NOW)
    assert (row.namespace, row.name, row.kind, row.target, row.phase) == ("lab", "f", "kill", "primary of pg", "Active")
    assert row.pods == ("pg-0", "pg-2")
    assert row.since_unix == NOW.timestamp() - 9.75
    assert row.left_seconds == 10
    assert not row.proven


def test_the_far_ends_of_a_partition_are_none_of_its_pods_and_prove_it() -> None:
    cut = {"partition": {"from": "group", "direction": "in", "dns": "Cut"}}
    row = row_of(listed(entry(), entry("pg-1", end="other", proven=True), what=cut), NOW)
    assert (row.kind, row.detail, row.pods, row.proven) == ("partition", "from group, in, with DNS", ("pg-0",), True)


def test_a_fault_of_which_nobody_has_said_anything_yet_is_pending_since_it_was_made() -> None:
    new = {**fault(), "status": {}}
    row = row_of(read_fault(new), NOW)
    assert (row.phase, row.pods, row.left_seconds, row.proven) == ("Pending", (), None, False)
    assert row.since_unix == NOW.timestamp() - 10
    new["metadata"]["deletionTimestamp"] = UNTIL
    assert row_of(read_fault(new), NOW).phase == "Healing"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"kind": "K", "name": "pg", "role": "any", "count": 2}, "2 of role any of pg"),
        ({"kind": "K", "name": "pg", "members": ["pg-0", "pg-2"]}, "pg-0, pg-2 of pg"),
        ({"zone": "a"}, "zone a"),
        ({"kind": "K", "name": "pg", "zone": "a"}, "zone a of pg"),
        ({"node": "n"}, "node n"),
    ],
)
def test_a_target_in_words(target: dict[str, Any], words: str) -> None:
    assert target_words(Target.from_body(target)) == words


LOST = {
    "id": "caplab-worker2-1", "node": "caplab-worker2", "kind": "pause-node", "state": "paused", "over": False,
    "injected_unix_ns": int(NOW.timestamp() - 5) * 10**9, "due_unix_ns": int(NOW.timestamp() + 7) * 10**9,
    "proven": True,
}  # fmt: skip


def test_the_table_shows_what_is_live_and_with_all_what_is_over_too() -> None:
    over = fault(entry(state="Healed"), name="over", phase="Healed")
    rows = [row_of(read_fault(over), NOW), row_of(listed(entry(proven=True)), NOW), row_of_node(LOST, NOW)]
    lines = table(rows)
    assert [line.split()[1] for line in lines] == ["NAME", "f", "caplab-worker2-1"]
    assert lines[1].split("  ")[-1] == "yes"
    assert "10 s" in lines[1]
    assert "2026-11-21 11:59:50" in lines[1]
    assert lines[2].split()[:4] == ["-", "caplab-worker2-1", "pause-node", "node"]
    assert [line.split()[1] for line in table(rows, every=True)] == ["NAME", "f", "over", "caplab-worker2-1"]
    assert table(rows[:1]) == table([]) == table([], every=True) == [NOTHING]
    assert table(rows[:1], every=True)[-1] == NOTHING


def test_what_is_past_its_time_and_still_live_is_late() -> None:
    late = row_of(listed(entry(), until="2026-11-21T11:59:57Z"), NOW)
    assert "3 s late" in table([late])[1]
    assert "4 s late" in table([row_of_node({**LOST, "due_unix_ns": int(NOW.timestamp() - 4) * 10**9}, NOW)])[1]


def test_a_table_draws_nothing_of_its_own_on_the_terminal() -> None:
    evil = fault(entry("\x1b[31mpg"))
    assert "\x1b" not in "\n".join(table([row_of(read_fault(evil), NOW)]))


@pytest.mark.parametrize("parts", UNREADABLE_PARTS)
def test_a_fault_that_cannot_be_read_is_live_and_says_what_is_wrong_with_it(parts: dict[str, Any]) -> None:
    row = row_of(read_fault({**fault(), **parts}), NOW)
    assert (row.namespace, row.name, row.kind, row.phase, row.proven) == ("lab", "f", "fault", "Unreadable", False)
    assert row.detail.startswith("object.")
    assert len(table([row])) == 2
