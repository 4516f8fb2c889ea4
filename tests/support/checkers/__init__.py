"""Histories for the tests of checkers: written by hand, random, and judged the slow way."""
