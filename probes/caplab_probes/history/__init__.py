"""Histories on the prober's disk: written, recovered after a kill, read, and removed."""
