"""One folder an engine; engines never know each other."""
