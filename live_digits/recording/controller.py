"""The recordings of one run: begun and ended off the picture's way, each one's end told.

Belongs to the loop's thread. Beginning and finishing may wait for a disk, so both have a thread of
their own (`recorder`); `tend`, called at each turn of the loop, sees what has become of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from live_digits.core.errors import LiveDigitsError, RecordingError, one_line
from live_digits.recording.recorder import JOIN_TIMEOUT, Recorder
from live_digits.recording.session import RecordingSummary

Begin = Callable[[], Recorder]
"""Begins a recording; may raise RecordingError, on whatever thread it is called."""


class PendingRecording:
    """A recording that begins on a thread of its own: the folder's disk may have to wake up first.

    `begun` is the recorder, or `error` says why there is none, once `finished` is True.
    """

    def __init__(self, begin: Callable[[], Recorder]) -> None:
        self.begun: Recorder | None = None
        self.error: RecordingError | None = None
        self._begin = begin
        self._thread = threading.Thread(target=self._run, name="recorder opening", daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        return not self._thread.is_alive()

    def join(self) -> None:
        """Waits for the end, at most as long as for a recording's."""
        self._thread.join(JOIN_TIMEOUT)

    def _run(self) -> None:
        try:
            self.begun = self._begin()
        except RecordingError as e:
            self.error = e
        except Exception as e:
            self.error = RecordingError(f"a recording cannot be started: {one_line(e)}")
            self.error.__cause__ = e


class RecordingController:
    """At most one recording at a time, and those that still come to their end."""

    def __init__(self, say: Callable[[str], None], fail: Callable[[LiveDigitsError], None]) -> None:
        """`say` takes a line for the picture; `fail` a failure, each once."""
        self._say, self._fail = say, fail
        self._opening: PendingRecording | None = None
        self._ending: list[Recorder] = []
        self._told: list[LiveDigitsError] = []
        self.recorder: Recorder | None = None
        """What records now."""
        self.ended: list[RecordingSummary] = []
        """The recordings that have come to their end."""
        self.errors = 0
        """Recordings that failed."""

    def begin(self, begin: Begin) -> None:
        """Begins a recording on a thread of its own."""
        if self._opening:
            self._say("the recording is still being opened: its disk takes its time")
            return
        self._opening = PendingRecording(begin)

    def begin_now(self, begin: Begin) -> None:
        """Begins a recording here and now. Raises RecordingError."""
        self.recorder = begin()

    def end(self) -> None:
        """Has the recording finished on its own thread."""
        recorder, self.recorder = self.recorder, None
        if recorder is None:
            return
        recorder.stop()
        self._ending.append(recorder)
        if recorder.error:
            self._tell(recorder.error)

    def poll(self) -> None:
        """Takes a recording that has begun, and says what became of those that have ended, by
        themselves or not."""
        opening = self._opening
        if opening and opening.finished:
            self._opening, self.recorder = None, opening.begun
            if opening.error:
                self.errors += 1
                self._tell(opening.error)
        if self.recorder and self.recorder.error:
            self.end()
        for recorder in [r for r in self._ending if r.finished]:
            self._ending.remove(recorder)
            self._over(recorder)

    def close(self) -> None:
        """Finishes all of them; waits for their disks as long as these may take."""
        if self._opening:
            self._opening.join()
            self.poll()
        self.end()
        while self._ending:
            self._over(self._ending.pop(0))

    def _over(self, recorder: Recorder) -> None:
        summary = recorder.close()
        self.ended.append(summary)
        if recorder.error:
            self.errors += 1
            self._tell(recorder.error)
        else:
            lost = f", {summary.dropped} frames dropped" if summary.dropped else ""
            self._say(f"recorded {summary.seconds:.1f} s{lost} to {summary.path}")

    def _tell(self, error: LiveDigitsError) -> None:
        if error not in self._told:
            self._told.append(error)
            self._fail(error)
