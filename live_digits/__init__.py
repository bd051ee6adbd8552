"""Find and read handwritten digits in what a camera sees, live."""

__version__ = "0.1.0"
