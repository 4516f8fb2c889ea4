"""A test's folder of Jepsen's store, and the page that shows one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from caplab_cluster.paths import REPOSITORY
from support.docs_examples import code

from caplab import cli

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
