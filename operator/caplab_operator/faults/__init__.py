"""Faults: their targets and their lifecycle, as pure functions. The agents carry the faults out."""
