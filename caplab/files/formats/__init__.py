"""Histories as others write them: Jepsen's events as EDN, JSON or log lines, elle-cli's JSON, JSON lines."""
