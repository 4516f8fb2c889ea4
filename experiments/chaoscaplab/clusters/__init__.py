"""Clusters under test: provision them, observe them, wait for them. Each engine has a module."""
