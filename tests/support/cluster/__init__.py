"""Machines, container engines and lost nodes, for the tests of the lab's own cluster."""
