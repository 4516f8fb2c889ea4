"""Faults of a cache that no pod suffers: entries that expire, one, many, or all."""
