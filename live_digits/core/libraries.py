"""System libraries that `import cv2` may miss, and how to install them."""

from __future__ import annotations

_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxcb.so.1": "libxcb1",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libXext.so.6": "libxext6",
    "libX11.so.6": "libx11-6",
}
"""Debian's and Ubuntu's package of each system library that OpenCV's wheel asks for."""


def missing_library(error: BaseException) -> str | None:
    """Returns the line for a system library that an import misses; None for other errors."""
    text = str(error)
    library = text.partition(":")[0].strip()
    if "cannot open shared object file" not in text:
        return None
    package = _PACKAGES.get(library)
    if package is None:
        return f"the system library {library} is missing; install the package that holds it"
    return (
        f"the system library {library} is missing: install it with  apt-get install {package}"
        "  (Debian, Ubuntu; other systems name the package alike)"
    )
