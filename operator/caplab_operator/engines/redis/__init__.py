"""Replicated Redis, with Sentinels that decide which member is primary."""
