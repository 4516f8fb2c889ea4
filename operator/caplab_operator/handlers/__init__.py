"""Wiring: kopf's handlers, and the loops that observe clusters and faults."""
