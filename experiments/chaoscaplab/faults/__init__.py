"""Faults as actions, which Fault objects carry to the nodes."""
