"""Bounds on what comes from outside that several rooms keep."""

MOST_PIXELS = 200_000_000
"""Pixels of a picture or a frame that are decoded at most: 600 MB as BGR. Also told to OpenCV."""
