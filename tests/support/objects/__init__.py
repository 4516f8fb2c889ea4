"""API servers in memory, and objects of the lab's group."""
