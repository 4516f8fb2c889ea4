"""Cassandra without a primary: the operator tells members how to begin, and takes their peers' word for how each is."""
