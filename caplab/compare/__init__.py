"""Comparisons of results: what suites measured before, and what they measure now."""
