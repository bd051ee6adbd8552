"""Watches the threads of a run: which of them failed, hang or died, how often, and what was said.

Belongs to the loop's thread; only the hook for exceptions that nobody caught runs on others.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from live_digits.core.errors import one_line
from live_digits.core.worker import Worker

log = logging.getLogger("live_digits.app.live")


class ThreadMonitor:
    """Notices what goes wrong on threads, and says each trouble once."""

    def __init__(
        self, workers: Sequence[Worker[Any, Any, Any]], say: Callable[[str], None]
    ) -> None:
        self._workers, self._say = workers, say
        self._told: Counter[str] = Counter()
        """What went wrong on each thread and was said."""
        self.escaped: Counter[str] = Counter()
        """Exceptions that ended a thread, by its name."""

    @contextlib.contextmanager
    def hooked(self) -> Iterator[None]:
        """Counts exceptions that nobody on their thread has caught, for a while."""
        before, threading.excepthook = threading.excepthook, self._died
        try:
            yield
        finally:
            threading.excepthook = before

    def watch(self) -> None:
        """Notices threads that hang, and says what went wrong on one even where it works again."""
        for worker in self._workers:
            worker.watch()
            if not worker.failed:
                self._tell(worker.name, worker.failures + worker.hangs, one_line(worker.trouble))
        for name, count in tuple(self.escaped.items()):
            self._tell(name, count, "it ended by an error of the program")

    def errors(self) -> Counter[str]:
        """Exceptions of each thread, by its name."""
        counts = Counter({w.name: w.failures for w in self._workers})
        counts.update(self.escaped)
        return counts

    def hangs(self) -> dict[str, int]:
        """Calls of each worker that gave no answer in time, by its name."""
        return {w.name: w.hangs for w in self._workers}

    def _tell(self, name: str, count: int, what: str) -> None:
        if count > self._told[name]:
            self._told[name] = count
            self._say(f"{name}: {what} ({count} so far)")

    def _died(self, args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else "a thread"
        self.escaped[name] += 1
        log.error("%s ended: %s", name, args.exc_value, exc_info=args.exc_value)
