"""The operator: turns cluster objects into running, observed databases."""
