"""A fault that an experiment makes by its own means: timed by its steps, and proven by what became of the members."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from chaoscaplab.controls import marks
from chaoscaplab.controls import run as control
from chaoscaplab.controls.marks import ClusterObservation, Mark, MarkTracker, changes, marks_in

from caplab.model.fields import FieldError, Fields
from caplab.run_context import keep_control, release

EXPERIMENT = {
    "method": [{"name": "before"}, {"name": "delete-it"}, {"name": "it-is-back"}, {"name": "twice"}, {"name": "twice"}]
}
STEADY = ClusterObservation("rd-0", "e1", {"rd-0": ("u0", 0, False), "rd-1": ("u1", 0, False)})


def read(mark: Any) -> tuple[Mark, ...]:
    return marks_in(Fields.of("extension caplab", {"mark": mark}), EXPERIMENT)


def test_a_mark_is_a_step_or_from_one_step_to_another() -> None:
    assert read(["delete-it"]) == (Mark("delete-it", "delete-it"),)
    assert read([{"begins": "delete-it", "ends": "it-is-back"}]) == (Mark("delete-it", "it-is-back"),)
    assert marks_in(Fields.of("extension caplab", {}), EXPERIMENT) == ()


@pytest.mark.parametrize(
    "mark",
    ["delete-it", ["gone"], ["twice"], [{"begins": "it-is-back", "ends": "delete-it"}], [{"begins": "delete-it"}], [5]],
)
def test_a_mark_that_means_no_step_of_the_method_is_refused_by_name(mark: Any) -> None:
    with pytest.raises(FieldError, match=r"mark|ends"):
        read(mark)


@pytest.mark.parametrize(
    ("after", "says"),
    [
        (STEADY, []),
        (ClusterObservation("rd-0", "e1", {"rd-1": ("u1", 0, False)}), ["the pod rd-0 is gone"]),
        (
            ClusterObservation("rd-1", "e2", {"rd-0": ("u9", 0, False), "rd-1": ("u1", 0, False)}),
            [
                "the pod rd-0 was replaced: its uid was u0, and is now u9",
                "the primary was rd-0, and is now rd-1, in another epoch",
            ],
        ),
        (
            ClusterObservation("rd-0", "e1", {"rd-0": ("u0", 1, False), "rd-1": ("u1", 0, False)}),
            ["the pod rd-0 has restarted"],
        ),
        (
            ClusterObservation("rd-0", "e1", {"rd-0": ("u0", 0, True), "rd-1": ("u1", 0, False)}),
            ["the pod rd-0 is being deleted"],
        ),
    ],
)
def test_what_became_of_the_members_is_the_proof(after: ClusterObservation, says: list[str]) -> None:
    assert changes(STEADY, after) == says


def tracker(*looks: ClusterObservation | Exception, mark: Mark | None = None) -> MarkTracker:
    """With the looks that are taken, in their order."""
    left = list(looks)

    def look() -> ClusterObservation:
        now = left.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    return MarkTracker(marks=(mark or Mark("delete-it", "delete-it"),), look=look)


GONE = ClusterObservation("rd-1", "e2", {"rd-1": ("u1", 0, False)})


def test_an_event_is_from_right_before_the_step_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([100, 200])
    monkeypatch.setattr(marks.time, "time_ns", lambda: next(moments))  # type: ignore[attr-defined]
    run = tracker(STEADY, GONE)
    for step in ("before", "delete-it", "it-is-back"):
        run.step_begins(step)
        run.step_ended(step)
    (event,) = run.events()
    assert (event.kind, event.target, event.proven) == ("delete-it", "rd-0", True)
    assert (event.began_unix_ns, event.ended_unix_ns) == (100, 200)
    assert event.evidence[0] == "times as the experiment's steps give them: delete-it"
    assert "the pod rd-0 is gone" in event.evidence


def test_what_shows_only_later_is_seen_later() -> None:
    run = tracker(STEADY, STEADY, GONE)
    run.step_begins("delete-it")
    run.step_ended("delete-it")
    (event,) = run.events()
    assert event.proven


def test_a_step_that_changed_nothing_or_whose_cluster_was_not_seen_proves_nothing() -> None:
    for looks in ((STEADY, STEADY, STEADY), (OSError("away"),), (STEADY, OSError("away"), OSError("away"))):
        run = tracker(*looks)
        run.step_begins("delete-it")
        if len(looks) > 1:
            run.step_ended("delete-it")
        (event,) = run.events()
        assert not event.proven
        assert event.evidence[-1] == "no effect was seen"


def test_a_mark_over_several_steps_ends_with_the_last_and_one_that_never_began_is_none() -> None:
    run = tracker(STEADY, GONE, mark=Mark("delete-it", "it-is-back"))
    assert run.events() == []
    run.step_ended("it-is-back")  # without its begin
    assert run.events() == []
    run.step_begins("delete-it")
    run.step_ended("delete-it")
    run.step_begins("it-is-back")
    run.step_ended("it-is-back")
    (event,) = run.events()
    assert event.evidence[0].endswith("delete-it to the end of it-is-back")
    assert event.ended_unix_ns is not None
    assert event.ended_unix_ns >= event.began_unix_ns


@pytest.fixture
def under_way() -> Iterator[Any]:
    stages = SimpleNamespace(add=lambda *_: None)
    run: Any = SimpleNamespace(mark_tracker=tracker(STEADY, GONE), stages=stages)
    keep_control(control._Control(run))
    yield run
    release()


def test_the_control_tells_of_each_step_of_whatever_provider(under_way: Any) -> None:
    step: Any = {"name": "delete-it", "provider": {"type": "process", "path": "kubectl"}}
    control.before_activity_control(step)
    control.after_activity_control(step, {"status": "succeeded", "duration": 1.0})
    (event,) = under_way.mark_tracker.events()
    assert event.proven


def test_a_members_pods_are_known_by_uid_restarts_and_deletion() -> None:
    pod = {
        "metadata": {"name": "rd-0", "uid": "u0", "deletionTimestamp": "now"},
        "status": {"containerStatuses": [{"restartCount": 2}, {"restartCount": 2}]},
    }
    cluster: Any = SimpleNamespace(body=lambda: {"status": {"primary": "rd-0", "epoch": "e"}}, members=lambda: [pod])
    assert ClusterObservation.of(cluster) == ClusterObservation("rd-0", "e", {"rd-0": ("u0", 4, True)})
