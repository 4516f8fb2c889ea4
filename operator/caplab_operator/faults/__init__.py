"""Faults: whom they hit and how they stand, as pure choices; the agents carry them out."""
