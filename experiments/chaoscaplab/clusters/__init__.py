"""Clusters under test: provisioned, looked at, and waited for; a module for each engine."""
