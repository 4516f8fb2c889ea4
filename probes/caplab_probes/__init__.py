"""Probers: what clients see of a cluster under fault, one process a zone."""
