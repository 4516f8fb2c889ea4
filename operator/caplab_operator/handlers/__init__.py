"""Wiring: what kopf calls, and the loops that observe."""
