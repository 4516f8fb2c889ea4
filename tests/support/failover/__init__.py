"""A model of a failover, for the tests that try every order of its steps."""
