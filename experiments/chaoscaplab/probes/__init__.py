"""Loads, and what they recorded."""
