from __future__ import annotations

from pathlib import Path

import pytest
from caplab_cluster.failure import Failure, diagnose, render, tail


@pytest.mark.parametrize(
    ("log_end", "says"),
    [
        ("write /x: no space left on device", "The disk is full."),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "The disk is full."),
        ("dial tcp: lookup proxy on 10.0.0.1:53: no such host", "The network is down"),
        ("dial tcp 10.0.0.1:443: connect: connection refused", "The network is down"),
        ("Temporary failure resolving 'deb'", "The network is down"),
        ("mkdir /x: permission denied", "Permission was denied."),
        ("E: Could not open lock file - open (13: Permission denied)", "Permission was denied."),
        ("bind: address already in use", "A port that the lab needs is in use."),
    ],
)
def test_known_causes_are_told_in_one_sentence(log_end: str, says: str) -> None:
    diagnosis = diagnose(log_end)
    assert diagnosis is not None
    assert diagnosis.sentence.startswith(says)
    assert diagnosis.hint


def test_an_unknown_cause_is_not_guessed() -> None:
    assert diagnose("segmentation fault") is None


def test_a_failure_shows_the_logs_end_what_was_tried_and_the_hint(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {i}\n" for i in range(100)))
    text = render(Failure("It failed.", "Fix it.", tried=("this",), log=log))
    assert "line 99" in text
    assert "line 5\n" not in text
    assert text.index("line 99") < text.index("FAILED: It failed.") < text.index("tried: this") < text.index("Fix it.")


def test_the_end_of_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert tail(tmp_path / "none") == ""
