"""One folder for each engine, and beside them what several need. Engines never import each other."""
