"""Cassandra: the prober's client and what its answers mean."""
