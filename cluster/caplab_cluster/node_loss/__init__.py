"""Node losses: a node is taken away for a bounded time, and a watchdog brings it back."""
