"""The machine: what it is and has, whether that suffices, and what of it is chosen."""
