"""What tests of checkers share: the command itself."""

from __future__ import annotations

import pytest
from support.checkers.commands import RunCheck

from caplab import cli


@pytest.fixture
def run_check(capsys: pytest.CaptureFixture[str]) -> RunCheck:
    """Runs `caplab check`: exit code, what went to stdout, what to stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = cli.main(["check", *map(str, arguments)])
        except SystemExit as ended:
            code = int(ended.code or 0)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run
