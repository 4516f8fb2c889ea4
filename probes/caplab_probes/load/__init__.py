"""A load: when its operations are due, what they do, and the sessions that carry them out."""
