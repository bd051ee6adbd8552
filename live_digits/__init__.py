"""live_digits: finds and reads handwritten digits in what a camera sees, live.

    import live_digits

    page = live_digits.read("page.jpg")
    page.lines, page.digits[0].digit, page.digits[0].box, page.digits[0].confidence

Each name is loaded when it is first used: `import live_digits` needs neither OpenCV nor NumPy.
"""

import importlib
import os
import time
from typing import TYPE_CHECKING, Any

from live_digits.core.limits import MOST_PIXELS

if TYPE_CHECKING:
    from live_digits.api import DigitReader, Stream, read, stream
    from live_digits.config.settings import Settings
    from live_digits.core.errors import LiveDigitsError, ModelError, SourceError
    from live_digits.core.geometry import Box
    from live_digits.core.types import Digit, Reading

__all__ = [
    "Box",
    "Digit",
    "DigitReader",
    "LiveDigitsError",
    "ModelError",
    "Reading",
    "Settings",
    "SourceError",
    "Stream",
    "__version__",
    "read",
    "stream",
]

# For a file whose header says another thing than its pixels do; OpenCV looks at its first import.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))

__version__ = "0.1.0"
IMPORTED = time.monotonic()
"""When this package was imported, on the monotonic clock."""
_HOMES = {
    "api": ("DigitReader", "Stream", "read", "stream"),
    "config.settings": ("Settings",),
    "core.errors": ("LiveDigitsError", "ModelError", "SourceError"),
    "core.geometry": ("Box",),
    "core.types": ("Digit", "Reading"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Returns a public name from the module that it lives in."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'live_digits' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"live_digits.{home}")
    except ImportError as e:
        from live_digits.core.libraries import missing_library

        line = missing_library(e)
        if line is None:
            raise
        raise ImportError(line) from e
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
