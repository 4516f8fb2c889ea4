"""Replicated Redis, with Sentinels that decide who is primary."""
