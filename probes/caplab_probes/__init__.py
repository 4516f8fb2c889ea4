"""Probers: what clients see of a cluster under fault, with one process a zone."""
