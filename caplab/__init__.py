"""caplab: what a fault costs a database's clients, measured and judged."""

__version__ = "0.1.0"
