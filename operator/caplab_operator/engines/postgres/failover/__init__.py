"""When a Postgres primary is replaced at once: its lock is released, after a fence where it may live still. Pure."""
