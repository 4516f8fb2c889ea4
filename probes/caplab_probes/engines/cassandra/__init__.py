"""Cassandra, as a prober speaks with it."""
