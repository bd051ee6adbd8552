"""What each key, and each gesture that does the same, makes the live loop do."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from live_digits.app.display import Display
from live_digits.app.state import LiveState, Notices
from live_digits.capture.base import Source
from live_digits.capture.image_files import save_png
from live_digits.config.file import find_config, user_config_path, write_back
from live_digits.config.settings import (
    TRACKBARS,
    PipelineSettings,
    Settings,
    as_dict,
    profile_defaults,
)
from live_digits.core.errors import LiveDigitsError, RecordingError, one_line
from live_digits.core.types import Image
from live_digits.display.contact_sheet import contact_sheet
from live_digits.display.keymap import Command
from live_digits.display.renderer import FrameRenderer
from live_digits.display.status import HudStatus
from live_digits.hands.controller import HandController
from live_digits.reading.parameter_search import ParameterSearch
from live_digits.reading.worker import InferenceWorker
from live_digits.recording.controller import RecordingController
from live_digits.recording.recorder import Recorder
from live_digits.tracking.video_reader import VideoReader, labelled_crops
from live_digits.vision.stages import Detections

_AIR_ON = "write in the air: index finger up, or pinch; open palm takes back"


@dataclass(frozen=True, slots=True)
class Tools:
    """What commands work with: the parts of the run.

    Attributes:
        settings: as the run began. `config`: the file that the sliders are written to.
        display: None without a window. `hands`: whether anything looks for them.
    """

    settings: Settings
    config: Path | None
    source: Source
    display: Display | None
    renderer: FrameRenderer
    recording_controller: RecordingController
    search: ParameterSearch
    video_reader: VideoReader
    hand_controller: HandController
    hands: bool
    worker: InferenceWorker


class Commands:
    """The table of commands and their handlers. Belongs to the loop's thread."""

    def __init__(
        self,
        tools: Tools,
        state: LiveState,
        notices: Notices,
        ask: Callable[[bool], None],
        status: Callable[[], HudStatus],
        stop: Callable[[], None],
    ) -> None:
        """Takes what handlers need.

        Args:
            tools: the parts of the run.
            state: what the loop knows; handlers change it.
            notices: takes messages and failures.
            ask: hands the network what needs a reading; True: all boxes.
            status: makes what is written beside the picture.
            stop: ends the run.
        """
        self._tools, self._state, self._notices = tools, state, notices
        self._ask, self._status, self._stop = ask, status, stop
        self.table: dict[Command, Callable[[], None]] = {
            command: self._handler(command) for command in Command
        }

    def _vision(self) -> Detections | None:
        return self._state.seen.vision if self._state.seen else None

    def obey(self, command: Command) -> None:
        """Does what a command asks for."""
        self.table[command]()

    def _handler(self, command: Command) -> Callable[[], None]:
        """What the command does; mypy refuses a command that no case handles."""
        match command:
            case Command.FREEZE:
                return self.freeze
            case Command.PREDICT:
                return self.predict
            case Command.EXTRACT:
                return self.extract
            case Command.RECORD:
                return self.record
            case Command.SAVE:
                return self.save_picture
            case Command.VIEW:
                return self._tools.renderer.next_view
            case Command.AUTO:
                return self.begin_search
            case Command.WRITE:
                return self.write_sliders
            case Command.DEFAULTS:
                return self.reset_sliders
            case Command.AIR:
                return self.toggle_air
            case Command.HELP:
                return self.toggle_help
            case Command.QUIT:
                return self._stop

    def set_sliders(self, settings: PipelineSettings) -> None:
        if settings != self._state.pipeline:
            self._state.pipeline, self._state.stale = settings, True
        if self._tools.display:
            self._tools.display.set_parameters(settings)

    def freeze(self) -> None:
        self._state.frozen = not self._state.frozen

    def predict(self) -> None:
        if self._tools.worker.failed:
            self._notices.say("nothing reads any more: see the error")
            return
        self._ask(True)
        self._notices.say("predicting")

    def extract(self) -> None:
        if self._state.seen is None:
            return
        sheet = contact_sheet(
            *labelled_crops(self._state.seen, self._tools.video_reader.reading(self._state.seen))
        )
        if self._tools.display:
            self._tools.display.show_sheet(sheet)
        self._save(sheet, "crops")

    def save_picture(self) -> None:
        frame, reading = self._state.frame, self._state.reading
        if frame is None or reading is None:
            return
        picture = self._state.picture
        if picture is None or picture.shape != frame.image.shape:  # was shown smaller
            picture = self._tools.renderer.shown(
                frame.image, reading, self._status(), self._vision()
            )
        self._save(picture, "picture")

    def _save(self, picture: Image, what: str) -> None:
        """Writes a PNG beside the recordings; a name is never used twice."""
        folder = Path(os.path.expanduser(self._tools.settings.recording.folder))
        stem = f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{what}"
        try:
            path = save_png(folder, stem, picture)
        except OSError as e:
            self._notices.fail(
                RecordingError(f"{folder / stem}.png cannot be written: {one_line(e)}")
            )
            return
        self._notices.say(f"saved {path}")

    def record(self) -> None:
        if self._tools.recording_controller.recorder:
            self._tools.recording_controller.end()
        elif self._state.frame is not None:
            self._tools.recording_controller.begin(self.recorder_maker())

    def begin_search(self) -> None:
        if self._state.seen is None:
            return
        settings = replace(self._tools.settings, pipeline=self._state.pipeline)
        if self._tools.search.begin(self._state.seen.frame.image, settings):
            self._notices.say("looking for good parameters")

    def write_sliders(self) -> None:
        path = self._tools.config or find_config() or user_config_path()
        changes: dict[tuple[str, str], Any] = {
            ("pipeline", name): getattr(self._state.pipeline, name)
            for name in (*TRACKBARS, "profile")
        }
        try:
            write_back(path, changes)
        except LiveDigitsError as e:
            self._notices.fail(e)
            return
        self._notices.say(f"sliders written to {path}")

    def reset_sliders(self) -> None:
        self.set_sliders(profile_defaults(self._state.pipeline.profile))
        self._notices.say("sliders at their defaults")

    def toggle_air(self) -> None:
        if not self._tools.hands:
            self._notices.say(
                "air writing needs hands: install the extra 'hands' and start with "
                "--set hands.mode=on"
            )
            return
        on = not self._tools.hand_controller.writes
        self._tools.hand_controller.write(on)
        self._notices.say(_AIR_ON if on else "air writing ends")

    def toggle_help(self) -> None:
        self._state.help = not self._state.help

    def recorder_maker(self) -> Callable[[], Recorder]:
        """Begins a recording of frames like the one at hand, on any thread. The call may raise
        RecordingError."""
        assert self._state.frame is not None
        info = self._tools.source.info
        height, width = self._state.frame.image.shape[:2]
        settings = replace(self._tools.settings, pipeline=self._state.pipeline)
        session = {
            "source": info.as_json(),
            "model": self._tools.settings.model.name,
            "settings": as_dict(settings),
        }
        rate = info.reported.fps or info.requested.fps or info.measured.fps
        return partial(Recorder, self._tools.settings.recording, width, height, rate, session)
