"""The journal on the node: whatever it has become, the agent goes on and no fault that is under way is lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from caplab_agent.faults import Heal
from caplab_agent.injectors.kill.gate import Gates
from caplab_agent.injectors.partition.addresses import Partition
from caplab_agent.journal import Journal, resumed
from caplab_agent.plan import DecisionContext, decide
from support.agent.fakes import POD_UID, SECOND, FakeClock
from support.agent.lab import Lab, fault, lab_in, state, wait_until
from support.agent.records import ASSIGNMENT, RECORD

from caplab.contract.objects import Freeze, Kill
from caplab.contract.phases import FAILED

SOUND = replace(RECORD, assignment=replace(ASSIGNMENT, pod_uid="p2", action=Freeze()), state=FAILED, cpu_ns=7)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "faults.json"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield from lab_in(tmp_path)


def damage(file: Path, path: tuple[str, ...], value: object) -> None:
    """Write a field of the first record as it cannot be."""
    document = json.loads(file.read_text())
    *way, last = path
    below = document["entries"][0]
    for name in way:
        below = below[name]
    if value is ...:
        del below[last]
    else:
        below[last] = value
    file.write_text(json.dumps(document))


def test_the_journal_gives_back_what_was_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new" / "faults.json")
    assert journal.read() == []
    cut = replace(ASSIGNMENT, pod_uid="p3", action=Partition(("10.0.0.1", "fd00::1"), ("10.0.0.2",)), replaces="p0")
    every = [
        RECORD,
        replace(
            RECORD, assignment=replace(ASSIGNMENT, pod_uid="p2", action=Freeze()), state=FAILED, problem="x", cpu_ns=7
        ),
        replace(RECORD, assignment=cut, effective_ns=4, netns=4026532561, protected_addresses=("10.0.0.9", "10.0.0.8")),
    ]
    journal.write(every)
    assert Journal(tmp_path / "new" / "faults.json").read() == every
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["faults.json"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": 2, "entries": []}', '{"format": 4, "entries": []}', '{"format": 3, "entries": [{}]}'],
)
def test_a_journal_that_cannot_be_understood_is_set_aside(tmp_path: Path, text: str) -> None:
    file = tmp_path / "faults.json"
    file.write_text(text)
    assert Journal(file).read() == []
    assert (tmp_path / "faults.unreadable").read_text() == text
    Journal(file).write([RECORD])
    assert Journal(file).read() == [RECORD]


def test_a_journal_that_is_no_text_is_set_aside(tmp_path: Path) -> None:
    """After a crash of the machine a file may hold anything: the agent goes on, and heals what it finds as lost."""
    for content in (b"\xff\x00" * 99, b"[" * 100_000):
        file = tmp_path / "faults.json"
        file.write_bytes(content)
        assert Journal(file).read() == []
        assert (tmp_path / "faults.unreadable").read_bytes() == content


DAMAGES: list[tuple[tuple[str, ...], object, str]] = [
    (("deadline_ns",), "soon", "deadline_ns is 'soon', not a whole number"),
    (("deadline_ns",), True, "deadline_ns is True, not a whole number"),
    (("deadline_ns",), -1, "deadline_ns is -1, out of bounds"),
    (("deadline_ns",), 2**80, "deadline_ns is 1208925819614629174706176, out of bounds"),
    (("deadline_ns",), float("nan"), "deadline_ns is nan, not a whole number"),
    (("deadline_ns",), float("inf"), "deadline_ns is inf, not a whole number"),
    (("deadline_ns",), None, "deadline_ns is None, not a whole number"),
    (("deadline_ns",), ..., "deadline_ns is missing"),
    (("netns",), "a", "netns is 'a', not a whole number or null"),
    (("injected_ns",), 2**64, "injected_ns is 18446744073709551616, out of bounds"),
    (("proven",), 1, "proven is 1, not true or false"),
    (("evidence",), [1], "evidence is (1,), not a list of texts"),
    (("state",), "Asleep", "state is 'Asleep'"),
    (("injected_at",), "noon", "injected_at is 'noon', not a time"),
    (("boot_id",), "", "boot_id is empty"),
    (("mood",), "good", "'mood' is no field of it"),
    (("assignment", "cluster"), 7, "cluster is 7, not a text"),
    (("assignment", "action"), {"kind": "kill", "signal": 9}, "signal is 9, not a text"),
    (("assignment", "action"), {"kind": "partition", "drops_from": [[]]}, "drops_from is ([],), not a list of texts"),
]


@pytest.mark.parametrize(("path", "value", "says"), DAMAGES)
def test_a_damaged_record_is_healed_at_once_and_the_others_go_on(
    file: Path, path: tuple[str, ...], value: object, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    Journal(file).write([RECORD, SOUND])
    damage(file, path, value)
    content = file.read_bytes()
    clock = FakeClock()
    healed, sound = resumed(Journal(file).read(), clock)
    assert sound == SOUND
    assert healed.assignment.key == RECORD.assignment.key
    (line,) = caplog.messages
    assert f"entry 1: Fault lab/kill-it on pod pg-0: {says}, so that it is healed now" in line
    assert (file.with_suffix(".unreadable")).read_bytes() == content
    context = DecisionContext("node-1", "boot-1", clock.now())
    (heal,) = decide(None, {healed.assignment.key: healed, sound.assignment.key: sound}, (), context).heal
    problem = f"the record of this fault in the node's journal is damaged ({says}): it was ended, its effect is unknown"
    assert heal == Heal(healed.assignment.key, problem=problem)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("assignment", "pod_uid"), "../../etc", "pod_uid is '../../etc', not a uid"),
        (("assignment", "pod_uid"), "", "pod_uid is '', not a uid"),
        (("assignment", "pod_uid"), 7, "pod_uid is 7, not a text"),
        (("assignment", "pod_uid"), ..., "pod_uid is None, not a text"),
        (("assignment", "fault_uid"), "a b", "fault_uid is 'a b', not a uid"),
        (("assignment", "name"), None, "name is None, not a text"),
        (("assignment", "action", "kind"), "burn", "action.kind is 'burn', none of kill, freeze, partition"),
        (("assignment", "action", "kind"), [], "action.kind is [], none of kill, freeze, partition"),
        (("assignment", "action"), 7, "action is 7, not an object"),
        (("assignment",), [], "assignment is [], not an object"),
    ],
)
def test_a_record_of_no_known_pod_is_said_and_the_others_go_on(
    file: Path, path: tuple[str, ...], value: object, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    Journal(file).write([RECORD, SOUND])
    damage(file, path, value)
    content = file.read_bytes()
    assert Journal(file).read() == [SOUND]
    (line,) = caplog.messages
    assert f"entry 1: {says}, so that nothing can be healed by it" in line
    assert (file.with_suffix(".unreadable")).read_bytes() == content


def test_a_byte_that_is_no_text_costs_one_record_at_most(file: Path) -> None:
    Journal(file).write([RECORD, SOUND])
    file.write_bytes(file.read_bytes().replace(b"SIGKILL to 3", b"SIGKILL to \xff"))
    assert [record.assignment.key for record in Journal(file).read()] == [("f1", "p1"), ("f1", "p2")]
    file.write_bytes(file.read_bytes().replace(b'"p1"', b'"p\xff"'))
    assert [record.assignment.key for record in Journal(file).read()] == [("f1", "p2")]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"deadline_ns": 2**62}, "deadline_ns is 4611686018427387904, later than any fault may last"),
        ({"injected_ns": 2000 * SECOND}, "injected_ns is 2000000000000, which is not over yet"),
    ],
)
def test_a_time_that_cannot_be_is_damage_and_of_another_boot_it_is_none(fields: dict[str, Any], says: str) -> None:
    record, clock = replace(RECORD, **fields), FakeClock()
    (damaged,) = resumed([record], clock)
    assert says in damaged.problem
    assert (damaged.state, damaged.boot_id) == ("", "boot-1")
    other = replace(record, boot_id="boot-0")
    assert resumed([other, RECORD], clock) == [other, RECORD]


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").touch()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "nothing" / "there")


def a_loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [a_folder, a_pipe, a_link_to_nothing, a_loop])
@pytest.mark.parametrize("name", ["faults.json", "faults.draft"])
def test_what_stands_in_the_way_of_the_journal_is_moved_and_said(
    tmp_path: Path, make: Callable[[Path], None], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path / name)
    (tmp_path / "faults.unreadable").mkdir()
    (tmp_path / "faults.unreadable" / "earlier").touch()
    journal = Journal(tmp_path / "faults.json")
    assert journal.read() == []
    journal.write([SOUND])
    assert journal.read() == [SOUND]
    assert all("journal" in line and "\n" not in line for line in caplog.messages)
    assert (tmp_path / "faults.unreadable" / "earlier").exists()


def test_without_a_folder_for_the_journal_it_is_empty_and_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "lib").write_text("no folder")
    journal = Journal(tmp_path / "lib" / "faults.json")
    assert journal.read() == []
    with pytest.raises(OSError, match="lib"):
        journal.write([SOUND])


def test_a_crash_while_writing_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "faults.json")
    journal.write([RECORD])
    (tmp_path / "faults.draft").write_text('{"format": 3, "ent')
    assert journal.read() == [RECORD]


def test_an_agent_goes_on_from_a_journal_with_a_damaged_record_and_heals_what_it_names(lab: Lab) -> None:
    lab.api.put(fault(state="Active"), "ADDED")
    gates = Gates(lab.root / "pods", lab.clock)
    assignment = replace(ASSIGNMENT, name="kill-f1", pod_uid=POD_UID, action=Kill())
    gates.close(assignment, 60)
    now_ns = lab.clock.now().ns
    record = replace(
        RECORD, assignment=assignment, boot_id=lab.clock.boot_id, deadline_ns=now_ns + 60 * SECOND, injected_ns=now_ns
    )
    lab.journal.write([record])
    damage(lab.root / "journal" / "faults.json", ("deadline_ns",), 2**80)
    lab.start()
    wait_until(lambda: not lab.closed())
    wait_until(lambda: state(lab) == "Failed")
    assert "deadline_ns is 1208925819614629174706176" in lab.api.target()["problem"]
    assert lab.thread
    assert lab.thread.is_alive()


@pytest.mark.parametrize("deadline", [-1, 2**62, 2**80, float("nan"), "soon"])
@pytest.mark.parametrize("pod_uid", [POD_UID, "..", "a/b", ""])
def test_no_journal_ends_the_agent(lab: Lab, deadline: object, pod_uid: str) -> None:
    assignment = replace(ASSIGNMENT, name="kill-f1", pod_uid=POD_UID)
    lab.journal.write([replace(RECORD, assignment=assignment, boot_id=lab.clock.boot_id)])
    damage(lab.root / "journal" / "faults.json", ("deadline_ns",), deadline)
    damage(lab.root / "journal" / "faults.json", ("assignment", "pod_uid"), pod_uid)
    lab.api.put(fault(), "ADDED")
    lab.start()
    wait_until(lambda: state(lab) in {"Active", "Failed"}, 60)
    assert lab.thread
    assert lab.thread.is_alive()
