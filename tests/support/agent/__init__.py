"""A node for the agent's tests."""
