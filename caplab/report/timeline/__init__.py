"""The timeline of a run: what clients experienced over time, as one SVG without other files."""
