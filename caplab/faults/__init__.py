"""Fault objects: listing the live ones, and ending all at once."""
