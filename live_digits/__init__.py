"""live_digits: finds and reads handwritten digits in what a camera sees, live."""

import time

__version__ = "0.1.0"
IMPORTED = time.monotonic()
"""When this package was imported, on the monotonic clock."""
