"""What works off the picture's way: a thread that owns something slow, asked by a one-slot mailbox.

A newer request replaces one that still waits, so work never queues. A failure makes what is owned
anew, three in a row end it. A call that hangs cannot be ended: `watch`, called by the loop at each
turn, leaves that thread behind (it is a daemon, and whatever it answers counts no more) and starts
another, three times at most.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from live_digits.core.errors import WorkerError

MOST_FAILURES = 3
"""Failures in a row after which a worker gives up; after each what it owns is made anew."""
MOST_REPLACED = 3
"""Threads that are replaced because they hang; the next one that does ends it."""
PATIENCE = 5.0
"""Seconds that one request may take before the thread counts as hanging."""
LOADING = 60.0
"""Seconds that the making of what is owned may take."""
_IDLE = 0.25
"""Seconds between looks at the stop while nothing is asked."""
_STEP = 0.5
"""Seconds that count at most between two calls of `watch`: a process that was stopped, or a loop
that was held up itself, says nothing of the worker."""
Request = TypeVar("Request")
Tool = TypeVar("Tool")
Answer = TypeVar("Answer")


class _ThreadRun:
    """One thread of a worker, until it ends or is left behind."""

    def __init__(self) -> None:
        self.over = False
        self.limit = 0.0
        """Seconds that the call at hand may take; 0 while there is none."""
        self.age = 0.0
        """Seconds that it has taken."""
        self.thread: threading.Thread | None = None


class Worker(ABC, Generic[Request, Tool, Answer]):
    """Owns a tool on its own thread. Every method may be called from the main thread and none of
    them waits for the tool, but for `close`."""

    def __init__(self, name: str, load: Callable[[], Tool], patience: float = PATIENCE) -> None:
        """`name`: the thread's. `load` makes the tool, on the thread. `patience`: see PATIENCE."""
        self.name = name
        self.failures = 0
        """Loads and requests that raised."""
        self.hangs = 0
        """Loads and requests that gave no answer in time."""
        self.error: Exception | None = None
        """The last failure; None again after a request that worked."""
        self.trouble: Exception | None = None
        """The last failure, for good."""
        self.failed = False
        """True once the worker has given up: the tool cannot be made, or failed thrice in a row."""
        self.most_failures = MOST_FAILURES
        self._load, self._patience = load, patience
        self._condition = threading.Condition()  # re-entrant
        self._stop = threading.Event()
        self._asked: Request | None = None
        self._running: Request | None = None
        self._in_a_row = 0
        self._life: _ThreadRun | None = None
        self._watched = 0.0

    def start(self) -> None:
        """Starts the thread; the tool is made there."""
        with self._condition:
            self._watched = time.monotonic()
            self._begin()

    def watch(self) -> None:
        """Notices a call that hangs; to be called often, by one thread."""
        with self._condition:
            now = time.monotonic()
            step, self._watched = min(now - self._watched, _STEP), now
            life = self._life
            if life is None or not life.limit or self._stop.is_set():
                return
            life.age += step
            if life.age >= life.limit:
                self._replace(life)

    @property
    def busy(self) -> bool:
        """True while a request waits or runs."""
        with self._condition:
            return self._asked is not None or self._running is not None

    def stop(self) -> None:
        """Asks the thread to end; `close` waits for it."""
        self._stop.set()
        with self._condition:
            self._asked = None
            self._condition.notify_all()

    def close(self, timeout: float = 3.0) -> bool:
        """Ends the thread; True if it ended within `timeout` seconds. One that hangs is left
        behind. May be called twice, and before the start."""
        self.stop()
        thread = self._life.thread if self._life else None
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _offer(self, request: Request) -> None:
        """Asks for `request` in place of the one that waits."""
        with self._condition:
            if self.failed or self._stop.is_set():
                return
            self._asked = request
            self._condition.notify_all()

    # --- what a worker does, on its thread ---

    @abstractmethod
    def _work(self, tool: Tool, request: Request) -> Answer:
        """One request, whatever it takes. Changes nothing of the worker: it may be left behind."""

    @abstractmethod
    def _keep(self, request: Request, answer: Answer, seconds: float) -> None:
        """Takes an answer; the condition is held."""

    def _settle(self) -> None:
        """Runs first on every thread."""

    def _forget(self) -> None:
        """After a failure or a hang, the condition held: what was known counts no more."""

    def _free(self, tool: Tool) -> None:
        """Gives back a tool that is not needed any more, whatever state it is in."""

    # --- the thread ---

    def _begin(self) -> None:
        life = self._life = _ThreadRun()
        life.limit = LOADING
        life.thread = threading.Thread(target=self._run, args=(life,), name=self.name, daemon=True)
        life.thread.start()

    def _run(self, life: _ThreadRun) -> None:
        self._settle()
        tool: Tool | None = None
        while not self._stop.is_set() and not life.over:
            try:
                if tool is None:
                    self._beat(life, LOADING)
                    tool = self._load()
                    self._beat(life, 0.0)
                request = self._take(life)
                if request is None:
                    continue
                start = time.perf_counter()
                answer = self._work(tool, request)
                self._done(life, request, answer, time.perf_counter() - start)
            except Exception as e:
                goes_on = self._failed(life, e, loaded=tool is not None)
                if tool is not None:
                    self._free(tool)
                tool = None
                if not goes_on:
                    return
        if tool is not None:
            self._free(tool)

    def _beat(self, life: _ThreadRun, limit: float) -> None:
        with self._condition:
            life.age, life.limit = 0.0, limit

    def _take(self, life: _ThreadRun) -> Request | None:
        with self._condition:
            if self._asked is None and not self._stop.is_set():
                self._condition.wait(_IDLE)
            if life.over:
                return None
            request, self._asked = self._asked, None
            if request is not None:
                self._running = request
                life.age, life.limit = 0.0, self._patience
            return request

    def _done(self, life: _ThreadRun, request: Request, answer: Answer, seconds: float) -> None:
        with self._condition:
            if life.over:
                return
            self._keep(request, answer, seconds)
            self._running, life.limit = None, 0.0
            self._in_a_row, self.error = 0, None
            self._condition.notify_all()

    def _failed(self, life: _ThreadRun, error: Exception, *, loaded: bool) -> bool:
        """Notes a failure; whether the thread goes on."""
        with self._condition:
            if life.over:
                return False
            self._running, life.limit = None, 0.0
            self.failures += 1
            self._in_a_row += 1
            self._note(error)
            if loaded and self._in_a_row < self.most_failures:
                return True
            self._give_up()
            return False

    def _replace(self, life: _ThreadRun) -> None:
        error = WorkerError(f"no answer for {life.limit:g} s")
        life.over, life.limit = True, 0.0
        self._running = None
        self.hangs += 1
        self._note(error)
        if self.hangs > MOST_REPLACED:
            self._give_up()
        else:
            self._begin()

    def _note(self, error: Exception) -> None:
        self.error = self.trouble = error
        self._forget()
        self._condition.notify_all()

    def _give_up(self) -> None:
        self.failed = True
        self._asked = None
