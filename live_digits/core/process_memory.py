"""How much memory this process has in use, by the system's own word."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any


def peak_memory() -> int:
    """Returns the most bytes that the process has had in use."""
    if sys.platform == "win32":
        return int(_windows_counters().PeakWorkingSetSize)
    if sys.platform == "linux":
        # getrusage would count the process that started this one, too.
        with contextlib.suppress(OSError, IndexError, ValueError):
            status = Path("/proc/self/status").read_text()
            return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_memory() -> int:
    """Returns the bytes that the process has in use; on macOS the most it has had."""
    if sys.platform == "win32":
        return int(_windows_counters().WorkingSetSize)
    if sys.platform == "linux":
        return _pages(1)
    return peak_memory()


def data_segment() -> int:
    """Returns the bytes that count for RLIMIT_DATA (Linux)."""
    return _pages(5)


def _pages(field: int) -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[field]) * os.sysconf("SC_PAGE_SIZE")


def _windows_counters() -> Any:
    """What GetProcessMemoryInfo tells."""
    import ctypes
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        _fields_ = [
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            *((name, ctypes.c_size_t) for name in (
                "PeakWorkingSetSize", "WorkingSetSize", "QuotaPeakPagedPoolUsage",
                "QuotaPagedPoolUsage", "QuotaPeakNonPagedPoolUsage", "QuotaNonPagedPoolUsage",
                "PagefileUsage", "PeakPagefileUsage",
            )),
        ]  # fmt: skip

    counters = Counters(cb=ctypes.sizeof(Counters))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 (there on Windows only)
    kernel.GetCurrentProcess.restype = wintypes.HANDLE
    info = kernel.K32GetProcessMemoryInfo
    info.argtypes = [wintypes.HANDLE, ctypes.POINTER(Counters), wintypes.DWORD]
    info(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb)
    return counters
