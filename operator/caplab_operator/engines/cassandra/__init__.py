"""Cassandra, which has no primary: the operator tells members how to start, and reads their state from their peers."""
