"""Brings the lab's kind cluster up and down.

Standard library only: it runs before anything is installed.
"""
