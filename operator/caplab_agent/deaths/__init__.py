"""Deaths: a member whose processes have ended is held at its start gate, and its death is reported with its proof."""
