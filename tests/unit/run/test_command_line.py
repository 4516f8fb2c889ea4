"""What is wrong with a command line is said by the command that was meant, with a hint."""

from __future__ import annotations

import pytest

from caplab import cli


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("explain postgres/kill-primary --set durability=async",
         "caplab explain: unrecognized arguments: --set durability=async. Hint: give it to caplab run."),
        ("report folder --pretty", "caplab report: unrecognized arguments: --pretty. Hint: see caplab report --help."),
        ("nightly newest results --pretty",
         "caplab nightly newest: unrecognized arguments: --pretty. Hint: see caplab nightly newest --help."),
        ("expalin x", "caplab: argument command: there is no 'expalin': did you mean explain?"),
    ],
)  # fmt: skip
def test_what_no_argument_takes_is_refused(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        cli.main(line.split())
    assert exited.value.code == 3
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("line", [["report", ""], ["check", ""], ["demo", "--no-open", "--output", ""]])
def test_an_empty_argument_is_not_the_current_folder(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        cli.main(line)
    assert exited.value.code == 3
    assert f"caplab {line[0]}: an argument is empty. Hint: " in capsys.readouterr().err
