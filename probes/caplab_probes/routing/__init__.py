"""Where operations go: the endpoints of a target, and which of them gets an operation or a read."""
