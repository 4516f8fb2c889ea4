"""Results beside results: what suites measured before, and what they measure now."""
