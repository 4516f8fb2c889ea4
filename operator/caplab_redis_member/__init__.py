"""What a Redis member does before it starts and before it ends: the standard library only."""
