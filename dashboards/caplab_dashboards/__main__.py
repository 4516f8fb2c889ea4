"""Command line: python -m caplab_dashboards write | lint"""

from __future__ import annotations

import argparse
import sys

from . import files, linter, sources


def main(arguments: list[str] | None = None) -> int:
    """Write the JSON, or check it. Returns 0 if all is well, otherwise 1."""
    parser = argparse.ArgumentParser(prog="caplab_dashboards", description=__doc__)
    parser.add_argument("command", choices=["write", "lint"])
    if parser.parse_args(arguments).command == "write":
        for path in files.write():
            print(path)
        return 0
    types = sources.known_series()
    broken = [violation for board in files.read().values() for violation in linter.check(board, types)]
    for violation in broken:
        print(violation, file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
