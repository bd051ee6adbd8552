"""The live loop: frames in; vision, tracks, readings and a picture out, one frame at a time.

The only module that knows every room. It runs on the main thread; source, inference, recorder and
the search for parameters have threads of their own and never make the picture wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from live_digits.app.commands import Commands, Tools
from live_digits.app.display import Display
from live_digits.app.outcome import RunResult, banner, failures
from live_digits.app.state import LiveState, Notices
from live_digits.app.statistics import RunStatistics
from live_digits.app.thread_monitor import ThreadMonitor
from live_digits.capture.base import Source
from live_digits.config.settings import (
    Settings,
)
from live_digits.core.errors import LiveDigitsError
from live_digits.core.geometry import Box
from live_digits.core.types import Classifier, Frame, Image, Reading
from live_digits.display.renderer import FrameRenderer
from live_digits.display.status import HudStatus
from live_digits.hands.controller import CLEAR, UNDO, HandController
from live_digits.hands.worker import HandsWorker
from live_digits.reading.parameter_search import LONGEST_STEP, ParameterSearch, SearchResult
from live_digits.reading.worker import InferenceWorker
from live_digits.recording.controller import RecordingController
from live_digits.recording.recorder import Recorder
from live_digits.tracking.video_reader import VideoReader
from live_digits.vision.stages import Detections
from live_digits.vision.worker import VisionWorker

log = logging.getLogger("live_digits.app.live")

_WAIT = 0.02
"""Seconds that the loop waits for a frame before it looks at the window again."""
_REFRESH = 0.1
"""Seconds between pictures while nothing changes but the clock."""
_SPARE = 0.75
"""The share of a frame's time that the loop may use up."""
_CAREFUL = 1.25
"""The loop's own work on a frame is taken to last this much longer than lately."""
_UNHURRIED = 0.05
"""Seconds that a frame waits for its vision where the source's rate is not known."""
_LOCKSTEP = 5.0
"""Seconds that a frame waits for the network at most, where it waits at all."""
_CLOSE = 0.9
"""Seconds that the end waits for source, inference, hands and search together; a thread that hangs
is left behind."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How one run goes, besides the settings. `duration`: seconds from the first frame on.
    `config`: the file that w writes to. `each` is called with every frame's reading. `live`: the
    source keeps its own time, so a frame that vision has no time for is shown with the boxes of the
    one before; else every frame waits for its own. `lockstep`: each frame waits for what the
    network says of it as well, so that the same frames read the same. `air`: a finger may write in
    the air from the start."""

    record: bool = False
    duration: float | None = None
    auto: bool = False
    config: Path | None = None
    each: Callable[[Reading], None] | None = None
    live: bool = False
    lockstep: bool = False
    air: bool = False


class App:
    """One run. `run` returns at the end; `stop` (any thread, a signal handler) asks for it."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        load: Callable[[], Classifier],
        display: Display | None = None,
        options: RunOptions | None = None,
        hands: HandsWorker | None = None,
        vision_worker: VisionWorker | None = None,
        video_reader: VideoReader | None = None,
    ) -> None:
        """`load` makes the classifier; it is called on the thread that uses it. `hands` is started
        and closed here, and so is `vision_worker`, vision's thread. Without it, or
        without `video_reader`, the app makes its own."""
        self.settings = settings
        self._options = options or RunOptions()
        self._source, self._load, self._display = source, load, display
        self._worker = InferenceWorker(load)
        self._vision_worker = vision_worker or VisionWorker(reuse=self._options.live)
        self._hands = hands
        self._hand_controller = HandController(settings, hands)
        self._hand_controller.write(self._options.air)
        self._workers: list[InferenceWorker | VisionWorker | HandsWorker] = [
            self._worker,
            self._vision_worker,
        ]
        self._workers += [hands] if hands else []
        self._notices = Notices()
        self._thread_monitor = ThreadMonitor(self._workers, self._notices.say)
        self._recording_controller = RecordingController(self._notices.say, self._notices.fail)
        self._video_reader = video_reader or VideoReader(settings)
        self._state = LiveState(settings.pipeline)
        self._stop = threading.Event()
        self._renderer = FrameRenderer(settings.window.confidence)
        self._search = ParameterSearch(load)
        self._auto_due, self._record_due = self._options.auto, self._options.record
        self._lines: tuple[str, ...] = ()
        self._figures = RunStatistics()
        self._commands = Commands(
            Tools(
                settings, self._options.config, source, display, self._renderer,
                self._recording_controller, self._search, self._video_reader,
                self._hand_controller, hands is not None, self._worker,
            ),
            self._state, self._notices, self._request_predictions, self._status, self.stop,
        )  # fmt: skip

    def stop(self) -> None:
        """Ends the run after the frame at hand."""
        self._stop.set()

    def run(self) -> RunResult:
        """Runs to the end: the source's, the duration's, the window's or `stop`'s. Raises
        SourceError where no first frame comes, and RecordingError where `record` cannot begin;
        whatever fails later is in the outcome."""
        with self._thread_monitor.hooked():
            try:
                self._source.start()
                for worker in self._workers:
                    if worker is not self._hands:  # begins after the first picture
                        worker.start()
                while not self._stop.is_set() and self._step():
                    pass
            finally:
                self._close()
        if self._source.error and self._figures.begun is None:
            raise self._source.error
        return self._outcome()

    def _step(self) -> bool:
        """One turn of the loop; False at the end."""
        frame = self._source.read(_WAIT)
        now, self._state.waited = time.monotonic(), 0.0
        self._watch()
        self._poll_sliders()
        self._recording_controller.poll()
        self._state.silent = None if frame is not None else self._source.signal.silent
        if frame is not None:
            self._handle_gestures(frame)
            if not self._state.frozen or self._state.seen is None:
                self._process_frame(frame)
                if self._record_due:
                    self._record_due = False
                    self._recording_controller.begin_now(self._commands.recorder_maker())
                self._render(frame.time, frame.arrived)
            elif self._due(now):
                self._reprocess()
                self._render(frame.time, None)
        elif self._source.finished and not self._state.frozen:
            return False
        elif self._state.frame and self._state.silent is not None and not self._state.frozen:
            self._show_silence(self._state.frame, now)
        elif self._state.seen and self._due(now):
            self._reprocess()
            self._render(None, None)
        self._handle_commands()
        if frame is not None:
            self._figures.add_display_time(time.monotonic() - now - self._state.waited)
        limit, begun = self._options.duration, self._figures.begun
        return limit is None or begun is None or time.monotonic() - begun < limit

    def _due(self, now: float) -> bool:
        """Whether the picture at hand is shown again: under new sliders, or for the clock's sake.
        In lockstep the clock changes no reading."""
        waited = now - self._figures.shown_at >= _REFRESH
        return self._state.stale or (waited and (self._state.frozen or not self._options.lockstep))

    # --- seeing and reading ---

    def _process_frame(self, frame: Frame) -> None:
        """A new frame: what vision has found, in it or in one before; tracks, and what is known;
        asks for what is not."""
        self._state.frame, self._state.forgotten = frame, False
        self._state.cover = self._hand_controller.cover(frame)
        self._vision_worker.submit(frame, self._state.pipeline)
        self._collect_vision(frame)
        if self._options.lockstep:
            self._await_answers()
        self._update_reading(frame)
        if self._options.each and self._state.reading:
            self._options.each(self._state.reading)
        if self._auto_due and self._figures.count >= 2:
            self._auto_due = False
            self._commands.begin_search()

    def _collect_vision(self, frame: Frame) -> None:
        """Takes what vision has found, and waits for this frame's as long as the picture's rate
        allows."""
        until = time.monotonic() + self._vision_budget() if self._options.live else None
        while True:
            left = _WAIT if until is None else max(0.0, until - time.monotonic())
            start = time.monotonic()
            look = self._vision_worker.take(left)
            self._state.waited += time.monotonic() - start
            if look is None:
                if until is None and self._vision_worker.busy and not self._stop.is_set():
                    self._watch()  # the frame waits for its own vision, but not for ever
                    continue
                return
            self._figures.looked(look.seconds, look.reused)
            self._state.seen = self._video_reader.follow(look.frame, look.vision, *self._hiding())
            self._collect_predictions()
            self._request_predictions()
            if look.frame is frame:
                return

    def _vision_budget(self) -> float:
        """Seconds that a frame may wait for its vision: what showing it leaves of its time."""
        info = self._source.info
        fps = info.measured.fps or info.reported.fps or info.requested.fps
        return (
            max(0.0, _SPARE / fps - _CAREFUL * self._figures.mean_display_time())
            if fps
            else _UNHURRIED
        )

    def _hiding(self) -> tuple[Callable[[Box], bool] | None, Callable[[Box], bool] | None]:
        """Which boxes lie under a hand, and where a digit may do so."""
        return (
            (self._state.cover.hides, self._state.cover.touches)
            if self._state.cover
            else (None, None)
        )

    def _collect_predictions(self) -> None:
        """Takes the network's answers, of the page and of what was written in the air."""
        self._video_reader.add_predictions(
            self._hand_controller.add_predictions(self._worker.results())
        )

    def _handle_gestures(self, frame: Frame) -> None:
        """Does what hands ask for by gestures."""
        lockstep = self._options.lockstep
        if lockstep or self._figures.begun is not None:
            self._hand_controller.start()
        asked = self._hand_controller.look(frame, self._stop if lockstep else None)
        if asked:
            self._notices.say(_GESTURES[asked])
        if asked == "thumb_up":
            self._commands.record()
        elif asked == "two_fingers":
            self._commands.extract()
        elif asked in ("open_palm", "fist"):
            self._state.frozen = asked == "open_palm"

    def _reprocess(self) -> None:
        """The frame at hand once more: under new sliders, or with answers that have come since."""
        if self._state.seen is None:
            return
        if self._state.stale or self._state.seen.frame is not self._state.frame:
            frame = self._state.frame or self._state.seen.frame
            self._state.seen = self._video_reader.see(frame, self._state.pipeline, *self._hiding())
        else:
            self._state.seen = replace(
                self._state.seen
            )  # another look at the same: it confirms what is new
        self._collect_predictions()
        self._request_predictions()
        self._update_reading(self._state.seen.frame)

    def _show_silence(self, frame: Frame, now: float) -> None:
        """The last frame of a source that has lost its signal, and nothing read of it: what was
        there is gone for all that is known. Its recording waits for the next frame."""
        if not self._state.forgotten:
            self._state.forgotten = True
            while self._vision_worker.take(0.0) is not None:
                pass  # what it has found since belongs to the time before
            self._video_reader.reset()
            self._state.seen = replace(self._state.seen, tracks=()) if self._state.seen else None
            height, width = frame.image.shape[:2]
            self._state.reading = Reading(frame.source, frame.seq, frame.time, width, height)
        elif now - self._figures.shown_at < _REFRESH:
            return
        self._render(None, None)

    def _request_predictions(self, every: bool = False) -> None:
        """Hands the worker what needs a reading, when it is free; `every`: all boxes at once."""
        if self._state.seen is None or self._worker.failed or (self._worker.busy and not every):
            return
        written, drawn = self._hand_controller.pending_crops()
        question = replace(
            self._video_reader.pending_crops(self._state.seen, every), written=written, drawn=drawn
        )
        self._worker.submit(question)

    def _await_answers(self) -> None:
        end = time.monotonic() + _LOCKSTEP
        while self._worker.busy and not self._stop.wait(0.001) and time.monotonic() < end:
            pass
        self._collect_predictions()

    def _await_room(self, recorder: Recorder, size: int) -> None:
        """Lets the recorder catch up: where every frame counts, it is recorded as well."""
        end = time.monotonic() + _LOCKSTEP
        while not (recorder.room(size) or recorder.error or time.monotonic() > end):
            if self._stop.wait(0.001):
                return

    def _update_reading(self, frame: Frame) -> None:
        """The frame's reading: its own, or that of the frame seen last, moved along."""
        if self._state.seen is None:
            height, width = frame.image.shape[:2]
            blank = Reading(frame.source, frame.seq, frame.time, width, height)
            self._state.reading = self._hand_controller.added(blank)
            return
        reading = self._video_reader.reading(self._state.seen)
        if self._state.seen.frame is not frame:
            reading = self._video_reader.extrapolate(reading, frame)
        self._state.reading = self._hand_controller.added(reading)
        self._figures.read(self._state.reading)
        self._lines = self._state.reading.lines or self._lines
        self._state.stale = False

    # --- showing ---

    def _render(self, when: float | None, arrived: float | None) -> None:
        """Draws, shows and records the frame at hand. `when`: its time in the recording; `arrived`:
        when it was captured, None for a frame shown again."""
        frame, reading, display = self._state.frame, self._state.reading, self._display
        if frame is None or reading is None:
            return
        recorder = self._recording_controller.recorder
        if display is None and recorder is None:
            self._figures.shown(time.monotonic(), arrived)
            return
        status = self._status()
        result: Image | None = None
        if display:
            height, width = frame.image.shape[:2]
            size = display.fit(width, height)
            picture = self._renderer.fitted(frame.image, reading, status, self._vision, size)
            display.show(picture)
            self._state.picture = picture
            whole = picture.shape == frame.image.shape and not self._renderer.watching
            result = picture if whole else None
        now = time.monotonic()
        self._figures.shown(now, arrived)
        if recorder and when is not None:
            if result is None:
                result = self._renderer.result(frame.image, reading, status)
            raw = frame.image if self.settings.recording.raw != "off" else None
            if self._options.lockstep:
                self._await_room(recorder, 2 * frame.image.nbytes)
            recorder.write(result, reading, when, raw, self._source.info.reported.fps)

    @property
    def _vision(self) -> Detections | None:
        return self._state.seen.vision if self._state.seen else None

    def _status(self) -> HudStatus:
        frame = self._state.frame
        height, width = frame.image.shape[:2] if frame else (0, 0)
        recorder, now = self._recording_controller.recorder, time.monotonic()
        recorded = recorder.summary() if recorder else None
        figures = self._figures.current(now, self._worker.stats)
        message = self._notices.message(now) or self._hand_controller.note
        message = message or self._source.note
        if self._state.silent is not None:
            figures = replace(figures, fps=0.0)
            if self._state.frozen and not message:
                message = f"no signal for {self._state.silent:.0f} s"
        return replace(
            figures,
            dropped=self._source.dropped,
            source=_short(self._source.info.name),
            width=width,
            height=height,
            profile=self._state.pipeline.profile,
            model=Path(self.settings.model.name).name,
            view=self._renderer.view,
            frozen=self._state.frozen,
            help=self._state.help,
            recording_s=recorded.seconds if recorded else None,
            recording_dropped=recorded.dropped if recorded else 0,
            silent_s=None if self._state.frozen else self._state.silent,
            message=message,
            error=banner(self._vision_worker, self._worker, self._hands, self._source)
            or self._notices.failure(now),
            ring=self._hand_controller.ring,
            air=self._hand_controller.air,
        )

    # --- the threads ---

    def _watch(self) -> None:
        """Notices threads that hang, and says what went wrong on one even where it works again."""
        self._thread_monitor.watch()
        if self._search.given_up():
            self._notices.say(
                f"the search for parameters hangs: no step for {LONGEST_STEP:g} s; given up"
            )

    def _worker_errors(self) -> dict[str, int]:
        """Exceptions of each thread, by its name."""
        counts = self._thread_monitor.errors()
        counts["source"] += int(self._source.error is not None)
        counts["recorder"] += self._recording_controller.errors
        counts["search"] += self._search.errors
        return dict(counts)

    # --- commands ---

    def _poll_sliders(self) -> None:
        """Takes the sliders as they stand, and the end of a search."""
        if self._display:
            now = self._display.parameters()
            if now != self._state.pipeline:
                self._state.pipeline, self._state.stale = now, True
        ended = self._search.ended()
        if isinstance(ended, SearchResult):
            self._commands.set_sliders(ended.settings)
            what = "better parameters" if ended.better else "nothing better than these"
            self._notices.say(f"{what}: {ended.digits} digits ({ended.tried} settings tried)")
        elif ended:
            self._notices.say(f"the search for parameters failed: {ended}")

    def _handle_commands(self) -> None:
        if self._display is None:
            return
        commands = self._display.poll()
        self._poll_sliders()  # a slider moved before a key counts for that key
        for command in commands:
            self._commands.obey(command)

    # --- the end ---

    def _close(self) -> None:
        """Ends every thread, the recording first: nothing recorded is lost."""
        try:
            self._recording_controller.close()
        finally:
            end = time.monotonic() + _CLOSE
            for worker in self._workers:
                worker.stop()
            self._search.stop()
            self._source.close()
            for thread in (*self._workers, self._search):
                thread.close(max(0.0, end - time.monotonic()))
            if self._display:
                self._display.close()

    def _outcome(self) -> RunResult:
        errors = failures(self._vision_worker, self._worker, self._hands, self._source)
        errors += [
            LiveDigitsError(f"the thread {name} ended by an error")
            for name in self._thread_monitor.escaped
        ]
        stats = self._figures.as_json(self._worker.stats)
        stats |= {
            "frames_captured": self._source.captured,
            "dropped": self._source.dropped,
            "source": self._source.info.as_json(),
            "reconnects": self._source.signal.reconnects,
            "outages": self._source.signal.outages,
            "time_lost_s": round(self._source.signal.lost_s, 3),
            "worker_errors": self._worker_errors(),
            "worker_hangs": self._thread_monitor.hangs() | {"search": self._search.hangs},
            "hands": self._hand_controller.as_json(self._video_reader.masked),
        }
        stats["recording"] = (
            dict(self._recording_controller.ended[-1].as_json())
            if self._recording_controller.ended
            else None
        )
        kept = (*self._notices.errors, *errors)
        return RunResult(self._lines, stats, tuple(self._recording_controller.ended), kept)


def _short(name: str) -> str:
    """A file's own name; other sources stay as they are."""
    return Path(name).name if "://" not in name and len(name) > _LONG_NAME else name


_LONG_NAME = 24
_GESTURES = {
    "open_palm": "open palm: frozen",
    "fist": "fist: going on",
    "thumb_up": "thumb up: recording on, off",
    "two_fingers": "two fingers: extracting",
    UNDO: "taken back; hold the palm to clear",
    CLEAR: "cleared",
}
"""What the picture says of a gesture."""
