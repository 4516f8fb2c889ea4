"""Every fault ended at once: by the agents' word, and never called healed without it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from caplab_cluster.kind_cluster import WORKERS
from support.objects.kube_clients import AnsweringClient
from support.objects.listed_faults import NOW, UNREADABLE_PARTS, FakeLab, entry, fault, listed

from caplab.contract.names import API_VERSION, FINALIZER
from caplab.faults.healing import Bounds, Healing, waited_for, what_is_left
from caplab.faults.objects import Objects
from caplab.faults.rows import read_fault
from caplab.kube.client import Query
from caplab.kube.errors import Forbidden, reason_of, refusal


def healed(lab: FakeLab) -> tuple[list[str], list[str]]:
    """What was said, and what is left."""
    lines: list[str] = []
    healing = Healing(lab, lines.append, Bounds(), lambda: lab.seconds, lab.sleep)
    healing.delete_all()
    return lines, healing.await_all()


def test_every_fault_is_ended_and_named() -> None:
    lab = FakeLab(fault(entry()), fault(entry("pg-1"), name="g"))
    lines, left = healed(lab)
    assert left == []
    assert lab.faults == []
    assert sorted(lines) == ["  lab/f has ended", "  lab/g has ended"]
    assert lab.released == []
    assert lab.seconds < 1


def test_a_fault_that_was_not_begun_or_hit_nobody_is_ended_too() -> None:
    refused = fault(name="g", phase="Failed", message="no primary")
    refused["metadata"]["finalizers"] = []
    not_begun = fault(entry(), name="h")
    del not_begun["status"]["targets"][0]["state"]
    lab = FakeLab({**fault(), "status": {}}, refused, not_begun)
    assert healed(lab)[1] == []
    assert lab.faults == []


def test_without_an_operator_the_finalizer_is_taken_away_once_all_agents_have_said_so() -> None:
    lab = FakeLab(fault(entry(state="Gone"), entry("pg-1"), entry("pg-2", state="Failed")), operator=False)
    lines, left = healed(lab)
    assert left == []
    assert lab.faults == []
    assert lab.released == ["f"]
    assert 5 <= lab.seconds < 7
    assert any(f"no operator removes its finalizer {FINALIZER}" in line for line in lines)
    assert any("waiting for the operator" in line for line in lines)


@pytest.mark.parametrize("operator", [True, False])
def test_a_fault_with_a_silent_agent_is_never_called_healed_and_keeps_its_finalizer(operator: bool) -> None:
    silent = fault(entry(), entry("pg-1", node=WORKERS[1]), entry("pg-2", node=WORKERS[1], state="Healed"))
    lab = FakeLab(silent, fault(entry(), name="g"), silent=[WORKERS[1]], operator=operator)
    lines, (left,) = healed(lab)
    (there,) = lab.faults
    assert there["metadata"]["finalizers"] == [FINALIZER]
    assert left.startswith(f"lab/f: the agent of node {WORKERS[1]} does not answer for pg-1, so that the heal is not")
    assert "2026-11-21 12:00:10.5 UTC" in left
    assert "Hint: find out why the agent is silent" in left
    assert any("lab/g has ended" in line for line in lines)
    assert not any("lab/f has ended" in line for line in lines)
    assert any(f"lab/f: waiting for the agent of {WORKERS[1]} ... " in line for line in lines)
    assert 20 < lab.seconds < 32


def test_when_a_silent_fault_ends_by_itself_is_said() -> None:
    silent = fault(entry(), entry("pg-1", node=WORKERS[1], state=None))
    first, second = what_is_left(read_fault(silent), NOW)
    assert f"node {WORKERS[0]} does not answer for pg-0" in first
    assert "It ends there by itself at 2026-11-21 12:00:10.5 UTC, in 10 s." in first
    assert f"node {WORKERS[1]}" in second
    (past, _) = what_is_left(read_fault(silent), datetime(2026, 11, 21, 13, tzinfo=UTC))
    assert "It should have ended there by itself at 2026-11-21 12:00:10.5 UTC." in past
    (unknown, _) = what_is_left(listed(entry(), entry("pg-1", node=WORKERS[1]), until=None), NOW)
    assert "When it ends by itself is not known." in unknown


@pytest.mark.parametrize(
    "until", ["9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"]
)
def test_an_end_at_the_edge_of_the_calendar_is_not_known(until: str) -> None:
    (left,) = what_is_left(listed(entry(), until=until), NOW)
    assert "When it ends by itself is not known." in left


def test_an_object_that_somebody_else_holds_is_left_and_said_to_be_ended() -> None:
    held = fault(entry())
    held["metadata"]["finalizers"].append("somebody.else/own")
    lab = FakeLab(held)
    _, (left,) = healed(lab)
    assert "every agent reports that it has ended, but the object is still held by somebody.else/own" in left


@pytest.mark.parametrize(("forbidden", "says"), [("delete", "cannot be deleted"), ("patch", "its finalizer stays")])
def test_what_the_api_server_refuses_is_told_in_its_words_and_hinders_no_other(forbidden: str, says: str) -> None:
    lab = FakeLab(fault(entry()), operator=False)
    lab.forbidden = (forbidden,)
    _, (left,) = healed(lab)
    assert f"lab/f: {says}: you may not {forbidden} faults." in left.replace("lab/f cannot", "lab/f: cannot")
    assert "Hint:" in left
    assert lab.seconds < 40


def test_a_fault_that_is_made_meanwhile_is_somebody_elses() -> None:
    lab = FakeLab(fault(entry()))
    healing = Healing(lab, lambda line: None, Bounds(), lambda: lab.seconds, lab.sleep)
    assert healing.delete_all() == 1
    lab.faults.append(fault(entry(), name="new"))
    assert healing.await_all() == []
    assert [held_fault["metadata"]["name"] for held_fault in lab.faults] == ["new"]


def test_agents_of_nodes_that_were_just_brought_back_are_given_more_time() -> None:
    lab = FakeLab(fault(entry()), silent=[WORKERS[0]])
    healing = Healing(lab, lambda line: None, Bounds(), lambda: lab.seconds, lab.sleep)
    healing.delete_all()
    assert len(healing.await_all(40)) == 1
    assert 60 < lab.seconds < 62


@pytest.mark.parametrize("parts", UNREADABLE_PARTS)
def test_a_fault_that_cannot_be_read_is_deleted_and_never_called_healed_without_its_agents(
    parts: dict[str, Any],
) -> None:
    unreadable = {**fault(), **parts}
    lab = FakeLab(unreadable, fault(entry(), name="g"))
    lines: list[str] = []
    healing = Healing(lab, lines.append, Bounds(), lambda: lab.seconds, lab.sleep)
    assert healing.delete_all() == 2
    (left,) = healing.await_all()
    assert left.startswith("lab/f: the agent of node an unknown node does not answer for unknown")
    assert lab.released == []
    assert "  lab/g has ended" in lines


def test_whose_word_is_missing() -> None:
    ended = listed(entry(state="Healed"), name="g")
    assert waited_for([listed(entry()), ended]) == f"lab/f, lab/g: waiting for the agent of {WORKERS[0]}"
    assert waited_for([ended]) == "lab/g: waiting for the operator"


# --- objects -----------------------------------------------------------------------------------------------


class FakeClient(AnsweringClient):
    """What the API server's client is asked, and what it answers or raises."""

    def __init__(self, answer: Any = None) -> None:
        super().__init__(self._note)
        self.asked: list[tuple[str, str, Mapping[str, Any]]] = []
        self._given = answer or {}

    def _note(self, method: str, path: str, _query: Query, body: Mapping[str, Any], _content: str, _: str) -> bytes:
        self.asked.append((method, path, body))
        if isinstance(self._given, Exception):
            raise self._given
        return json.dumps(self._given).encode()


def asking(answer: Any = None) -> tuple[Objects, FakeClient]:
    fake = FakeClient(answer)
    return Objects(fake), fake


def test_faults_of_all_namespaces_are_asked_for_and_a_lab_that_is_not_installed_has_none() -> None:
    objects, fake = asking({"items": [fault()]})
    assert objects.all() == [listed()]
    assert fake.asked[0][:2] == ("GET", f"/apis/{API_VERSION}/faults")
    assert asking(refusal(404))[0].all() == []
    with pytest.raises(Forbidden):
        asking(refusal(403))[0].all()


def test_only_the_fault_that_was_read_is_deleted_and_only_the_operators_finalizer_goes() -> None:
    objects, fake = asking()
    held: dict[str, Any] = fault()
    held["metadata"]["finalizers"] = ["a/b", FINALIZER]
    objects.delete(read_fault(held))
    assert fake.asked.pop() == (
        "DELETE", f"/apis/{API_VERSION}/namespaces/lab/faults/f",
        {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "uid of f"}},
    )  # fmt: skip
    objects.release(read_fault(held))
    *_, patch = fake.asked.pop()
    assert patch == {"metadata": {"resourceVersion": "1", "finalizers": ["a/b"]}}
    objects.release(listed())
    *_, patch = fake.asked.pop()
    assert patch == {"metadata": {"resourceVersion": "1", "finalizers": None}}


@pytest.mark.parametrize("status", [404, 409])
def test_one_that_is_gone_or_has_changed_is_no_error(status: int) -> None:
    objects, _ = asking(refusal(status))
    objects.delete(listed())
    objects.release(listed())
    refusing, _ = asking(refusal(403))
    for call in (refusing.delete, refusing.release):
        with pytest.raises(Forbidden):
            call(listed())


def test_errors_are_told_in_one_line() -> None:
    assert reason_of(refusal(503, "Unavailable")) == "503 Unavailable"
    assert reason_of(ValueError("a\n  b")) == "a b"
