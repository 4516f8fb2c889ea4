"""The steps of a Redis member before it starts and before it ends, with the standard library only."""
