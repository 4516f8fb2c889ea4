"""The `caplab` command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from caplab_cluster.__main__ import main as cluster_command

from . import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    parser = argparse.ArgumentParser(prog="caplab", description=__doc__)
    parser.add_argument("--version", action="version", version=f"caplab {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="say whether this machine can carry the lab, and what it lacks")
    parsed = parser.parse_args(arguments)
    return cluster_command([parsed.command])
