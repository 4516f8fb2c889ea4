"""Figures over time: what suites measured, run after run, on one page."""
