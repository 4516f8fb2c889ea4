"""Faults as their objects tell of them: what is live, and everything ended at once."""
