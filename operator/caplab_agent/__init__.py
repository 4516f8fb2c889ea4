"""The node agent: carries out, proves and heals the faults that hit pods of its node."""
