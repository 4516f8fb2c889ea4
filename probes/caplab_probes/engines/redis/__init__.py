"""Redis, as a prober speaks with it."""
