"""Cache faults that leave all pods alone: one, many or all entries expire."""
