"""Errors for the user of a command: the message is one sentence, with its hint."""

from __future__ import annotations


class CommandError(Exception):
    """Ends a command with exit code 3; its message is printed as it is."""
