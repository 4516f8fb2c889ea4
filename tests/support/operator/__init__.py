"""Clusters as the operator observes them, and inventories of faults."""
