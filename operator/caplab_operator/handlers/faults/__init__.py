"""Handlers of Fault, and the target sync of live faults."""
