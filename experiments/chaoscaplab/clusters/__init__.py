"""Clusters under test: brought up, looked at, and waited for; a module for each engine."""
