"""Reads through a cache in front of a database, with six protections against stampedes."""
