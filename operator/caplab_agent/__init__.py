"""The node agent, which injects, proves and heals the faults on its node's pods."""
