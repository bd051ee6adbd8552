"""The live loop: frames in; vision, tracks, readings and a picture out, one frame at a time.

The only module that knows every room. It runs on the main thread; source, inference, recorder and
the search for parameters have threads of their own and never make the picture wait.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from live_digits.app.statistics import Figures
from live_digits.app.thread_monitor import Overseer
from live_digits.capture.image_files import save_png
from live_digits.capture.sources import Source
from live_digits.config.file import find_config, user_config_path, write_back
from live_digits.config.settings import (
    TRACKBARS,
    PipelineSettings,
    Settings,
    as_dict,
    profile_defaults,
)
from live_digits.core.errors import HandsError, LiveDigitsError, RecordingError, WorkerError, reason
from live_digits.core.types import Box, Classifier, Frame, Image, Reading, RecordingSummary, Status
from live_digits.display.keymap import Command
from live_digits.display.renderer import Painter
from live_digits.display.stage_views import contact_sheet
from live_digits.hands.controller import CLEAR, UNDO, Handwork
from live_digits.hands.occlusion import Cover
from live_digits.hands.worker import HandsWorker
from live_digits.reading.parameter_search import LONGEST_STEP, Found, Search
from live_digits.reading.worker import InferenceWorker
from live_digits.recording.controller import Deck
from live_digits.recording.recorder import Recorder
from live_digits.tracking.video_reader import Follower, Seen, labelled
from live_digits.vision.detection import Vision
from live_digits.vision.worker import Looker

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
_MESSAGE = 4.0
"""Seconds that a message stays."""
_CLOSE = 0.9
"""Seconds that the end waits for source, inference, hands and search together; a thread that hangs
is left behind."""


class Display(Protocol):
    """What shows the picture and hears the keys: `window.Window`, or a fake in tests."""

    def fit(self, width: int, height: int) -> tuple[int, int]: ...
    def show(self, picture: Image) -> None: ...
    def poll(self, wait_ms: int = 1) -> tuple[Command, ...]: ...
    def parameters(self) -> PipelineSettings: ...
    def set_parameters(self, settings: PipelineSettings) -> None: ...
    def show_sheet(self, sheet: Image) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Options:
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves behind: the last text lines, the statistics, the recordings, failures."""

    lines: tuple[str, ...]
    stats: dict[str, Any]
    recordings: tuple[RecordingSummary, ...]
    errors: tuple[LiveDigitsError, ...]


class App:
    """One run. `run` returns at the end; `stop` (any thread, a signal handler) asks for it."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        load: Callable[[], Classifier],
        display: Display | None = None,
        options: Options | None = None,
        hands: HandsWorker | None = None,
        looker: Looker | None = None,
        follower: Follower | None = None,
    ) -> None:
        """`load` makes the classifier; it is called on the thread that uses it. `hands` is started
        and closed here, and so is `looker`, vision's thread: one of its own kind by default, as
        `follower` is."""
        self.settings = settings
        self._options = options or Options()
        self._source, self._load, self._display = source, load, display
        self._worker = InferenceWorker(load)
        self._looker = looker or Looker(reuse=self._options.live)
        self._hands = hands
        self._handwork = Handwork(settings, hands)
        self._handwork.write(self._options.air)
        self._workers: list[InferenceWorker | Looker | HandsWorker] = [self._worker, self._looker]
        self._workers += [hands] if hands else []
        self._overseer = Overseer(self._workers, self._say)
        self._deck = Deck(self._say, self._fail)
        self._follower = follower or Follower(settings)
        self._pipeline = settings.pipeline
        self._stop = threading.Event()
        self._seen: Seen | None = None
        self._frame: Frame | None = None
        self._cover: Cover | None = None
        self._reading: Reading | None = None
        self._picture: Image | None = None
        self._waited = 0.0
        self._stale = False
        self._silent: float | None = None
        self._forgotten = False
        self._frozen = False
        self._painter = Painter(settings.window.confidence)
        self._help = False
        self._search = Search(load)
        self._auto_due, self._record_due = self._options.auto, self._options.record
        self._errors: list[LiveDigitsError] = []
        self._message, self._message_until = "", 0.0
        self._lines: tuple[str, ...] = ()
        self._figures = Figures()
        self._commands = self._handlers()

    def stop(self) -> None:
        """Ends the run after the frame at hand."""
        self._stop.set()

    def run(self) -> Outcome:
        """Runs to the end: the source's, the duration's, the window's or `stop`'s. Raises
        SourceError where no first frame comes, and RecordingError where `record` cannot begin;
        whatever fails later is in the outcome."""
        with self._overseer.hooked():
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
        now, self._waited = time.monotonic(), 0.0
        self._watch()
        self._listen()
        self._deck.tend()
        self._silent = None if frame is not None else self._source.signal.silent
        if frame is not None:
            self._heed(frame)
            if not self._frozen or self._seen is None:
                self._look(frame)
                if self._record_due:
                    self._record_due = False
                    self._deck.begin_now(self._recorder_maker())
                self._present(frame.time, frame.arrived)
            elif self._due(now):
                self._relook()
                self._present(frame.time, None)
        elif self._source.finished and not self._frozen:
            return False
        elif self._frame and self._silent is not None and not self._frozen:
            self._show_silence(self._frame, now)
        elif self._seen and self._due(now):
            self._relook()
            self._present(None, None)
        self._obey()
        if frame is not None:
            self._figures.presented(time.monotonic() - now - self._waited)
        limit, begun = self._options.duration, self._figures.begun
        return limit is None or begun is None or time.monotonic() - begun < limit

    def _due(self, now: float) -> bool:
        """Whether the picture at hand is shown again: under new sliders, or for the clock's sake.
        In lockstep the clock changes no reading."""
        waited = now - self._figures.shown_at >= _REFRESH
        return self._stale or (waited and (self._frozen or not self._options.lockstep))

    # --- seeing and reading ---

    def _look(self, frame: Frame) -> None:
        """A new frame: what vision has found, in it or in one before; tracks, and what is known;
        asks for what is not."""
        self._frame, self._forgotten = frame, False
        self._cover = self._handwork.cover(frame)
        self._looker.submit(frame, self._pipeline)
        self._see(frame)
        if self._options.lockstep:
            self._await_answers()
        self._understand(frame)
        if self._options.each and self._reading:
            self._options.each(self._reading)
        if self._auto_due and self._figures.count >= 2:
            self._auto_due = False
            self._begin_search()

    def _see(self, frame: Frame) -> None:
        """Takes what vision has found, and waits for this frame's as long as the picture's rate
        allows."""
        until = time.monotonic() + self._patience() if self._options.live else None
        while True:
            left = _WAIT if until is None else max(0.0, until - time.monotonic())
            start = time.monotonic()
            look = self._looker.take(left)
            self._waited += time.monotonic() - start
            if look is None:
                if until is None and self._looker.busy and not self._stop.is_set():
                    self._watch()  # the frame waits for its own vision, but not for ever
                    continue
                return
            self._figures.looked(look.seconds, look.reused)
            self._seen = self._follower.follow(look.frame, look.vision, *self._hiding())
            self._learn()
            self._ask()
            if look.frame is frame:
                return

    def _patience(self) -> float:
        """Seconds that a frame may wait for its vision: what showing it leaves of its time."""
        info = self._source.info
        fps = info.measured.fps or info.reported.fps or info.requested.fps
        return max(0.0, _SPARE / fps - _CAREFUL * self._figures.showing()) if fps else _UNHURRIED

    def _hiding(self) -> tuple[Callable[[Box], bool] | None, Callable[[Box], bool] | None]:
        """Which boxes lie under a hand, and where a digit may do so."""
        return (self._cover.hides, self._cover.touches) if self._cover else (None, None)

    def _learn(self) -> None:
        """Takes the network's answers, of the page and of what was written in the air."""
        self._follower.learn(self._handwork.learn(self._worker.results()))

    def _heed(self, frame: Frame) -> None:
        """Does what hands ask for by gestures."""
        lockstep = self._options.lockstep
        if lockstep or self._figures.begun is not None:
            self._handwork.start()
        asked = self._handwork.look(frame, self._stop if lockstep else None)
        if asked:
            self._say(_GESTURES[asked])
        if asked == "thumb_up":
            self._record()
        elif asked == "two_fingers":
            self._extract()
        elif asked in ("open_palm", "fist"):
            self._frozen = asked == "open_palm"

    def _relook(self) -> None:
        """The frame at hand once more: under new sliders, or with answers that have come since."""
        if self._seen is None:
            return
        if self._stale or self._seen.frame is not self._frame:
            frame = self._frame or self._seen.frame
            self._seen = self._follower.see(frame, self._pipeline, *self._hiding())
        else:
            self._seen = replace(self._seen)  # another look at the same: it confirms what is new
        self._learn()
        self._ask()
        self._understand(self._seen.frame)

    def _show_silence(self, frame: Frame, now: float) -> None:
        """The last frame of a source that has lost its signal, and nothing read of it: what was
        there is gone for all that is known. Its recording waits for the next frame."""
        if not self._forgotten:
            self._forgotten = True
            while self._looker.take(0.0) is not None:
                pass  # what it has found since belongs to the time before
            self._follower.reset()
            self._seen = replace(self._seen, tracks=()) if self._seen else None
            height, width = frame.image.shape[:2]
            self._reading = Reading(frame.source, frame.seq, frame.time, width, height)
        elif now - self._figures.shown_at < _REFRESH:
            return
        self._present(None, None)

    def _ask(self, every: bool = False) -> None:
        """Hands the worker what needs a reading, when it is free; `every`: all boxes at once."""
        if self._seen is None or self._worker.failed or (self._worker.busy and not every):
            return
        written, drawn = self._handwork.wanted()
        question = replace(self._follower.wanted(self._seen, every), written=written, drawn=drawn)
        self._worker.submit(question)

    def _await_answers(self) -> None:
        end = time.monotonic() + _LOCKSTEP
        while self._worker.busy and not self._stop.wait(0.001) and time.monotonic() < end:
            pass
        self._learn()

    def _await_room(self, recorder: Recorder, size: int) -> None:
        """Lets the recorder catch up: where every frame counts, it is recorded as well."""
        end = time.monotonic() + _LOCKSTEP
        while not (recorder.room(size) or recorder.error or time.monotonic() > end):
            if self._stop.wait(0.001):
                return

    def _understand(self, frame: Frame) -> None:
        """The frame's reading: its own, or that of the frame seen last, moved along."""
        if self._seen is None:
            height, width = frame.image.shape[:2]
            blank = Reading(frame.source, frame.seq, frame.time, width, height)
            self._reading = self._handwork.added(blank)
            return
        reading = self._follower.reading(self._seen)
        if self._seen.frame is not frame:
            reading = self._follower.ahead(reading, frame)
        self._reading = self._handwork.added(reading)
        self._figures.read(self._reading)
        self._lines = self._reading.lines or self._lines
        self._stale = False

    # --- showing ---

    def _present(self, when: float | None, arrived: float | None) -> None:
        """Draws, shows and records the frame at hand. `when`: its time in the recording; `arrived`:
        when it was captured, None for a frame shown again."""
        frame, reading, display = self._frame, self._reading, self._display
        if frame is None or reading is None:
            return
        recorder = self._deck.recorder
        if display is None and recorder is None:
            self._figures.shown(time.monotonic(), arrived)
            return
        status = self._status()
        result: Image | None = None
        if display:
            height, width = frame.image.shape[:2]
            size = display.fit(width, height)
            picture = self._painter.fitted(frame.image, reading, status, self._vision, size)
            display.show(picture)
            self._picture = picture
            whole = picture.shape == frame.image.shape and not self._painter.watching
            result = picture if whole else None
        now = time.monotonic()
        self._figures.shown(now, arrived)
        if recorder and when is not None:
            if result is None:
                result = self._painter.result(frame.image, reading, status)
            raw = frame.image if self.settings.recording.raw != "off" else None
            if self._options.lockstep:
                self._await_room(recorder, 2 * frame.image.nbytes)
            recorder.write(result, reading, when, raw, self._source.info.reported.fps)

    @property
    def _vision(self) -> Vision | None:
        return self._seen.vision if self._seen else None

    def _status(self) -> Status:
        frame = self._frame
        height, width = frame.image.shape[:2] if frame else (0, 0)
        recorder, now = self._deck.recorder, time.monotonic()
        recorded = recorder.summary() if recorder else None
        figures = self._figures.current(now, self._worker.stats)
        message = self._message if now < self._message_until else self._handwork.note
        message = message or self._source.note
        if self._silent is not None:
            figures = replace(figures, fps=0.0)
            if self._frozen and not message:
                message = f"no signal for {self._silent:.0f} s"
        return replace(
            figures,
            dropped=self._source.dropped,
            source=_short(self._source.info.name),
            width=width,
            height=height,
            profile=self._pipeline.profile,
            model=Path(self.settings.model.name).name,
            view=self._painter.view,
            frozen=self._frozen,
            help=self._help,
            recording_s=recorded.seconds if recorded else None,
            recording_dropped=recorded.dropped if recorded else 0,
            silent_s=None if self._frozen else self._silent,
            message=message,
            error=self._alarm(),
            ring=self._handwork.ring,
            air=self._handwork.air,
        )

    def _alarm(self) -> str:
        """The failure that the picture shall show."""
        if self._looker.error:
            ends = "; the picture goes on without" if self._looker.failed else ""
            return f"vision failed: {reason(self._looker.error)}{ends}"
        if self._worker.error:
            ends = "; the picture goes on without readings" if self._worker.failed else ""
            return f"reading failed: {reason(self._worker.error)}{ends}"
        if self._hands and self._hands.failed:
            return f"hands: {reason(self._hands.trouble)}; the picture goes on without them"
        if self._source.error:
            return str(self._source.error)
        if self._errors and time.monotonic() < self._message_until:
            return str(self._errors[-1])
        return ""

    # --- the threads ---

    def _watch(self) -> None:
        """Notices threads that hang, and says what went wrong on one even where it works again."""
        self._overseer.watch()
        if self._search.given_up():
            self._say(f"the search for parameters hangs: no step for {LONGEST_STEP:g} s; given up")

    def _worker_errors(self) -> dict[str, int]:
        """Exceptions of each thread, by its name."""
        counts = self._overseer.errors()
        counts["source"] += int(self._source.error is not None)
        counts["recorder"] += self._deck.errors
        counts["search"] += self._search.errors
        return dict(counts)

    def _say(self, text: str) -> None:
        self._message, self._message_until = text, time.monotonic() + _MESSAGE

    def _fail(self, error: LiveDigitsError) -> None:
        """A failure that does not end the run: on the picture for a while, then in the outcome."""
        self._errors.append(error)
        self._message, self._message_until = "", time.monotonic() + 2 * _MESSAGE

    # --- commands ---

    def _handlers(self) -> dict[Command, Callable[[], None]]:
        """What each command does; a command without a handler cannot be written: mypy sees it."""
        return {command: self._handler(command) for command in Command}

    def _handler(self, command: Command) -> Callable[[], None]:
        match command:
            case Command.FREEZE:
                return self._freeze
            case Command.PREDICT:
                return self._predict
            case Command.EXTRACT:
                return self._extract
            case Command.RECORD:
                return self._record
            case Command.SAVE:
                return self._save_picture
            case Command.VIEW:
                return self._painter.turn
            case Command.AUTO:
                return self._begin_search
            case Command.WRITE:
                return self._write_sliders
            case Command.DEFAULTS:
                return self._reset_sliders
            case Command.AIR:
                return self._toggle_air
            case Command.HELP:
                return self._toggle_help
            case Command.QUIT:
                return self.stop

    def _listen(self) -> None:
        """Takes the sliders as they stand, and the end of a search."""
        if self._display:
            now = self._display.parameters()
            if now != self._pipeline:
                self._pipeline, self._stale = now, True
        ended = self._search.ended()
        if isinstance(ended, Found):
            self._set(ended.settings)
            what = "better parameters" if ended.better else "nothing better than these"
            self._say(f"{what}: {ended.digits} digits ({ended.tried} settings tried)")
        elif ended:
            self._say(f"the search for parameters failed: {ended}")

    def _obey(self) -> None:
        if self._display is None:
            return
        commands = self._display.poll()
        self._listen()  # a slider moved before a key counts for that key
        for command in commands:
            self._commands[command]()

    def _set(self, settings: PipelineSettings) -> None:
        if settings != self._pipeline:
            self._pipeline, self._stale = settings, True
        if self._display:
            self._display.set_parameters(settings)

    def _freeze(self) -> None:
        self._frozen = not self._frozen

    def _predict(self) -> None:
        if self._worker.failed:
            self._say("nothing reads any more: see the error")
            return
        self._ask(every=True)
        self._say("predicting")

    def _extract(self) -> None:
        if self._seen is None:
            return
        sheet = contact_sheet(*labelled(self._seen, self._follower.reading(self._seen)))
        if self._display:
            self._display.show_sheet(sheet)
        self._save(sheet, "crops")

    def _save_picture(self) -> None:
        frame, reading = self._frame, self._reading
        if frame is None or reading is None:
            return
        picture = self._picture
        if picture is None or picture.shape != frame.image.shape:  # was shown smaller
            picture = self._painter.shown(frame.image, reading, self._status(), self._vision)
        self._save(picture, "picture")

    def _save(self, picture: Image, what: str) -> None:
        """Writes a PNG beside the recordings; a name is never used twice."""
        folder = Path(os.path.expanduser(self.settings.recording.folder))
        stem = f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{what}"
        try:
            path = save_png(folder, stem, picture)
        except OSError as e:
            self._fail(RecordingError(f"{folder / stem}.png cannot be written: {reason(e)}"))
            return
        self._say(f"saved {path}")

    def _record(self) -> None:
        if self._deck.recorder:
            self._deck.end()
        elif self._frame is not None:
            self._deck.begin(self._recorder_maker())

    def _begin_search(self) -> None:
        if self._seen is None:
            return
        settings = replace(self.settings, pipeline=self._pipeline)
        if self._search.begin(self._seen.frame.image, settings):
            self._say("looking for good parameters")

    def _write_sliders(self) -> None:
        path = self._options.config or find_config() or user_config_path()
        changes: dict[tuple[str, str], Any] = {
            ("pipeline", name): getattr(self._pipeline, name) for name in (*TRACKBARS, "profile")
        }
        try:
            write_back(path, changes)
        except LiveDigitsError as e:
            self._fail(e)
            return
        self._say(f"sliders written to {path}")

    def _reset_sliders(self) -> None:
        self._set(profile_defaults(self._pipeline.profile))
        self._say("sliders at their defaults")

    def _toggle_air(self) -> None:
        if self._hands is None:
            self._say(
                "air writing needs hands: install the extra 'hands' and start with "
                "--set hands.mode=on"
            )
            return
        on = not self._handwork.writes
        self._handwork.write(on)
        self._say(_AIR_ON if on else "air writing ends")

    def _toggle_help(self) -> None:
        self._help = not self._help

    # --- recording, the end ---

    def _recorder_maker(self) -> Callable[[], Recorder]:
        """Begins a recording of frames like the one at hand, on any thread. The call may raise
        RecordingError."""
        assert self._frame is not None
        info = self._source.info
        height, width = self._frame.image.shape[:2]
        settings = replace(self.settings, pipeline=self._pipeline)
        session = {
            "source": info.as_json(),
            "model": self.settings.model.name,
            "settings": as_dict(settings),
        }
        rate = info.reported.fps or info.requested.fps or info.measured.fps
        return partial(Recorder, self.settings.recording, width, height, rate, session)

    def _close(self) -> None:
        """Ends every thread, the recording first: nothing recorded is lost."""
        try:
            self._deck.close()
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

    def _outcome(self) -> Outcome:
        errors = list(self._errors)
        if self._source.error:
            errors.append(self._source.error)
        if self._looker.error:
            errors.append(LiveDigitsError(f"vision failed: {reason(self._looker.error)}"))
        if self._worker.failed and self._worker.error:
            error = self._worker.error
            if not isinstance(error, LiveDigitsError):
                error = LiveDigitsError(f"reading failed: {type(error).__name__}: {error}")
            elif isinstance(error, WorkerError):
                error = WorkerError(f"reading failed: {error}")
            errors.append(error)
        if self._hands and self._hands.failed:
            errors.append(HandsError(f"hands: {reason(self._hands.trouble)}"))
        errors += [
            LiveDigitsError(f"the thread {name} ended by an error")
            for name in self._overseer.escaped
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
            "worker_hangs": self._overseer.hangs() | {"search": self._search.hangs},
            "hands": self._handwork.as_json(self._follower.masked),
        }
        stats["recording"] = dict(self._deck.ended[-1].as_json()) if self._deck.ended else None
        return Outcome(self._lines, stats, tuple(self._deck.ended), tuple(errors))


def _short(name: str) -> str:
    """A file's own name; other sources stay as they are."""
    return Path(name).name if "://" not in name and len(name) > _LONG_NAME else name


_LONG_NAME = 24
_AIR_ON = "write in the air: index finger up, or pinch; open palm takes back"
_GESTURES = {
    "open_palm": "open palm: frozen",
    "fist": "fist: going on",
    "thumb_up": "thumb up: recording on, off",
    "two_fingers": "two fingers: extracting",
    UNDO: "taken back; hold the palm to clear",
    CLEAR: "cleared",
}
"""What the picture says of a gesture."""
