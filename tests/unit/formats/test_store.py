"""A test's folder of Jepsen's store, and the page that shows one."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from caplab_cluster.paths import REPOSITORY
from support.docs_examples import code

from caplab import cli
from caplab.converting import convert
from caplab.files.formats import writing
from caplab.files.formats.recognise import Format
from caplab.files.formats.recording import Recording
from caplab.model.bounds import Bounds

PAGE = (REPOSITORY / "docs" / "coming-from-jepsen.md").read_text()
STORE = "store/etcd/20261129T101500.000Z"


def blocks() -> list[str]:
    return [block for _, block in code(PAGE) if block.startswith("$ ")]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store that the page shows, as the working folder's."""
    folder = tmp_path / STORE
    folder.mkdir(parents=True)
    history = re.split(r"^\$ .*\n", blocks()[0], flags=re.MULTILINE)[1]
    (folder / "history.edn").write_text(history)
    (folder / "results.edn").write_text("{:perf {:valid? true},\n :workload #a.B{:valid? false},\n :valid? false}\n")
    (folder / "test.jepsen").write_bytes(b"JEPSEN\0")
    (tmp_path / "store" / "latest").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    return folder


def without_what_does_not_apply(out: str) -> str:
    return re.sub(r"^not applicable: .*\n(  .*\n)*", "", out, flags=re.MULTILINE)


def test_what_the_page_shows_is_what_is_printed(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checked, converted = blocks()
    shown = re.split(r"^\$ .*\n", checked, flags=re.MULTILINE)[2]
    assert cli.main(["check", STORE]) == 1
    assert without_what_does_not_apply(capsys.readouterr().out) == without_what_does_not_apply(shown)
    _, sentence, cells = re.split(r"^\$ .*\n", converted, flags=re.MULTILINE)
    assert cli.main(["convert", STORE, "etcd.csv"]) == 0
    assert capsys.readouterr().out == sentence
    assert Path("etcd.csv").read_text() == cells


def test_all_tests_of_a_store_are_checked_and_its_links_are_not(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", "store", "--json"]) == 1
    assert capsys.readouterr().out.count('"etcd/20261129T101500.000Z": {') == 1


@pytest.mark.parametrize(
    ("results", "says"),
    [
        ("{:valid? :unknown}", "Jepsen's own verdict in results.edn: unknown"),
        ("{:valid? true}", "Jepsen's own verdict in results.edn: valid"),
        ("{:valid? ", "results.edn cannot be read"),
    ],
)
def test_jepsens_own_verdict_is_beside_ours(
    store: Path, results: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (store / "results.edn").write_text(results)
    assert cli.main(["check", STORE]) == 1
    assert says in capsys.readouterr().out


def test_a_store_without_a_history_is_refused(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store / "history.edn").unlink()
    assert cli.main(["check", STORE]) == 3
    assert "it has no history.edn, only Jepsen's binary test.jepsen" in capsys.readouterr().err.lower().replace(
        "jepsen's", "Jepsen's"
    )


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("jepsen.log", "INFO jepsen.core - crashed\n", "(jepsen.log): not checked: The history has no operations"),
        ("history.edn", "{:type :invoke", "(Jepsen EDN): not checked: Line 1: the file ends within what line 1 begins"),
        ("history.edn", "", "not checked: The file is empty"),
    ],
)
def test_a_test_that_cannot_be_checked_does_not_hide_the_others(
    store: Path, name: str, content: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    crashed = store.parent / "20261130T000000.000Z"
    crashed.mkdir()
    (crashed / name).write_text(content)
    assert cli.main(["check", "store"]) == 1
    assert f"etcd/{crashed.name}{' ' if content else ': '}{says}" in capsys.readouterr().out.replace("\n  ", " ")
    (store / "history.edn").write_text("{:type :invoke, :process 0, :f :write, :value 1}")
    assert cli.main(["check", "store", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["validity"] == "unknown"
    assert document["runs"][f"etcd/{crashed.name}"] == {
        "validity": "unknown", "checkers": {}, "problem": document["runs"][f"etcd/{crashed.name}"]["problem"],
    }  # fmt: skip
    (store / "history.edn").write_text("")
    assert cli.main(["check", "store"]) == 3
    assert capsys.readouterr().out == ""


def test_a_history_that_is_empty_is_passed_over_for_the_next(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store / "history.edn").write_text("")
    (store / "history.txt").write_text("0\t:invoke\t:write\t1\n0\t:ok\t:write\t1\n")
    assert cli.main(["check", STORE]) == 0
    assert "(Jepsen history.txt): 1 operation, holds" in capsys.readouterr().out


@pytest.mark.parametrize("source", [STORE, f"{STORE}/history.edn"])
def test_a_history_is_not_converted_onto_itself(store: Path, source: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = (store / "history.edn").read_text()
    Path("link.edn").symlink_to(store / "history.edn")
    for target in (f"{STORE}/history.edn", "link.edn"):
        assert cli.main(["convert", source, target]) == 3
        assert "it is the history itself" in capsys.readouterr().err
    assert (store / "history.edn").read_text() == before


def test_a_conversion_writes_where_a_link_leads_and_not_over_what_is_no_file(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("old.csv").write_text("old")
    Path("link.csv").symlink_to("old.csv")
    assert cli.main(["convert", STORE, "link.csv"]) == 0
    assert Path("link.csv").is_symlink()
    assert Path("old.csv").read_text().startswith('"session","op"')
    os.mkfifo("pipe.csv")
    assert cli.main(["convert", STORE, "pipe.csv"]) == 3
    assert "it is not an ordinary file" in capsys.readouterr().err
    assert Path("pipe.csv").is_fifo()


def test_a_conversion_that_is_ended_leaves_no_draft(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(_: Recording, path: Path) -> None:
        path.write_text("half")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    monkeypatch.setitem(writing._WRITERS, Format.CSV, ended)
    names = {path.name for path in Path().iterdir()}
    child = os.fork()
    if child == 0:
        convert(store, Path("out.csv"), Bounds())
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
    assert {path.name for path in Path().iterdir()} == names


REFUSED: list[tuple[str, str, Any]] = [
    ("session,op,invoke_ns,return_ns,outcome\n1,load,2,3,ok\n", "out.edn", "Row 1: it is a load"),
    (
        "session,op,value,invoke_ns,return_ns,outcome\n1,scan,1,2,3,ok\n",
        "out.edn",
        "Row 1: it is a scan that is no set",
    ),
    (
        "session,op,value,invoke_ns,return_ns,outcome\n1,write,1,2,3,ok\n1,add,1,4,5,ok\n",
        "out.json",
        "Row 2: it is of sets where others are of registers",
    ),
    (
        "session,op,value,expected,observed,invoke_ns,return_ns,outcome\n1,cas,1,2,3,4,5,ok\n",
        "out.edn",
        "Row 1: it is a cas that found another value",
    ),
    (
        '{:process 0, :type :invoke, :value [[:append x "a"]]}',
        "out.parquet",
        "Row 1: a transaction has a value that is t",
    ),
    ('{:process 0, :type :invoke, :f :read, :value ["a\\nb" nil]}', "out.csv", "a line end within a text"),
    ("session,op,invoke_ns,return_ns,outcome\n1,read,2,3,ok\n", "out.txt", "its name does not say the format"),
    ("session,op,invoke_ns,return_ns,outcome\n1,read,2,1,ok\n", "out.edn", r"in \(CSV\): Row 1: return_ns is before"),
]


@pytest.mark.parametrize(("content", "target", "says"), REFUSED)
def test_what_a_format_cannot_hold_is_refused_and_nothing_is_written(
    content: str, target: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").write_text(content)
    assert cli.main(["convert", str(tmp_path / "in"), str(tmp_path / target)]) == 3
    err = capsys.readouterr().err
    assert re.search(says, err), err
    assert "Hint: " in err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
