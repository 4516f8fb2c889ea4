"""Stand-ins for databases that clients can talk to."""
