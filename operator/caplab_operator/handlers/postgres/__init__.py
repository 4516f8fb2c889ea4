"""Handlers of PostgresCluster, and the corrections that each round makes."""
