"""The output of `caplab check`: findings as text, with their witnesses, or as JSON."""
