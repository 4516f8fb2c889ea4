"""The lab's real cluster, as the kind tests use it."""
