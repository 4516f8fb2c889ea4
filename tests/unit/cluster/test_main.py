from __future__ import annotations

import fcntl
from pathlib import Path

import pytest
from caplab_cluster import __main__ as entry
from caplab_cluster.failure import Failure
from caplab_cluster.paths import Cache
from caplab_cluster.progress import Progress


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("CAPLAB_CACHE", str(tmp_path))
    return Cache(tmp_path)


def test_a_failure_is_one_sentence_and_exit_code_1(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_progress: Progress, _cache: Cache) -> None:
        raise Failure("It is so.", "Do this.")

    monkeypatch.setitem(entry._WRITE_COMMANDS, "up", fail)
    assert entry.main(["up"]) == 1
    assert capsys.readouterr().err == "FAILED: It is so.\n  hint:  Do this.\n"


def test_two_changing_commands_do_not_run_at_once(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    with cache.lock.open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write("4711")
        held.flush()
        assert entry.main(["up"]) == 1
    assert "Another caplab command is running (process 4711)." in capsys.readouterr().err


def test_an_interrupt_is_exit_code_130(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_progress: Progress, _cache: Cache) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(entry._WRITE_COMMANDS, "down", interrupt)
    assert entry.main(["down"]) == 130


def test_an_unknown_command_is_exit_code_2(cache: Cache) -> None:
    with pytest.raises(SystemExit) as ended:
        entry.main(["sideways"])
    assert ended.value.code == 2
