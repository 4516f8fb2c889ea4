"""Loads and their records."""
