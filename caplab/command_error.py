"""Errors that are made for whoever called: their message is one sentence, with its hint."""

from __future__ import annotations


class CommandError(Exception):
    """Ends a command with exit code 3 and its message, as it is."""
