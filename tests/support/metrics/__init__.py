"""Metrics: exported, invented, scraped, and a Prometheus of the test's own."""
