"""The dashboards themselves, one module each, and the panels that several of them show."""
