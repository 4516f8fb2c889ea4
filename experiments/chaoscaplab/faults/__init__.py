"""Faults as actions; Fault objects carry them to the nodes."""
