"""Clusters under test: brought up, looked at, and waited for."""
