"""live_digits: finds and reads handwritten digits in what a camera sees, live."""

import os
import time

MOST_PIXELS = 200_000_000
"""A larger picture is refused before it is decoded."""
# For a file whose header says another thing than its pixels do; OpenCV looks at its first import.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))

__version__ = "0.1.0"
IMPORTED = time.monotonic()
"""When this package was imported, on the monotonic clock."""
