"""`caplab watch`: the lab live in a terminal: clusters, faults, what clients get, the last verdicts."""
