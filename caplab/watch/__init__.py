"""`caplab watch`: the lab live in a terminal: clusters, faults, client traffic, the last verdicts."""
