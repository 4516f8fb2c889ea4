"""One folder an engine, and beside them what several need; engines never know each other."""
