"""`caplab completion`: what bash offers while somebody types, asked of bash itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from caplab import cli
from caplab.catalogue.experiments import Lab
from caplab.command_line import completion
from caplab.files.packaged import experiments_folder

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")

_ASK = """
source "$0" || exit 1
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
offer=$(complete -p caplab | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$offer
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return bash's script, in a file."""
    pytest.importorskip("shtab", reason="the lab's images lack it")
    file = tmp_path_factory.mktemp("completion") / "caplab.bash"
    file.write_text(completion.script(cli._parser(), "bash"))
    return file


def offered(script: Path, folder: Path, *words: str) -> set[str]:
    done = subprocess.run(
        ["bash", "-c", _ASK, str(script), "caplab", *words],
        cwd=folder, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        (["ru"], {"run"}),
        (["run", "smo"], {"smoke"}),
        (["run", "postgres/kill-p"], {"postgres/kill-primary", "postgres/kill-primary-ahead"}),
        (["run", "smoke", "--se"], {"--set"}),
        (["explain", "dur"], {"durability"}),
        (["list", "ex"], {"experiments"}),
        (["check", "--checker", "stal"], {"staleness"}),
        (["nightly", "sum"], {"summary"}),
        (["report", "resu"], {"results"}),
        (["run", "no-such"], set()),
    ],
)
def test_what_is_typed_is_completed(script: Path, tmp_path: Path, words: list[str], offers: set[str]) -> None:
    (tmp_path / "results").mkdir()
    assert offered(script, tmp_path, *words) == offers


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_each_shell_has_a_script(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    pytest.importorskip("shtab", reason="the lab's images lack it")
    assert cli.main(["completion", shell]) == 0
    assert "postgres/kill-primary" in capsys.readouterr().out


def test_without_the_library_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["completion", "bash"]) == 3
    assert "Hint: pip install shtab." in capsys.readouterr().err


def test_names_that_a_shell_would_carry_out_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("shtab", reason="the lab's images lack it")
    lab = Lab.of(experiments_folder())
    hostile = dict.fromkeys(
        ("redis/$(touch x)", "redis/`x`", "redis/of two words", "redis/\x1b[31m"), lab.experiments["redis/control"]
    )
    monkeypatch.setattr(Lab, "of", lambda folder: replace(lab, experiments={**lab.experiments, **hostile}))
    for shell in completion.SHELLS:
        script = completion.script(cli._parser(), shell)
        assert "redis/control" in script
        assert not any(name in script for name in hostile)


def test_offering_names_does_not_change_what_the_command_takes() -> None:
    pytest.importorskip("shtab", reason="the lab's images lack it")
    completion.script(cli._parser(), "bash")
    assert cli.parse(["run", f"{os.curdir}/my-experiment.yaml"]).name == "./my-experiment.yaml"
