"""What the parts of the lab agree on, written once: names at the API server, ports, phases and bounds.

It imports nothing else of the lab, so that every part and every image can have it. The chart, which cannot import it,
is held to it by tests.
"""
