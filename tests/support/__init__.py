"""Support for the tests: stand-ins, invented data and checks that several tests share."""
