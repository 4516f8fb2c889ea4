"""Postgres, as a prober speaks with it."""
