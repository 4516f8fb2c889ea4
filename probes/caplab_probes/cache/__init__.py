"""Reads through a cache in front of a database, under six protections against stampedes."""
