"""Experiments, runs and suites, invented or watched."""
