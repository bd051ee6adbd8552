"""Every setting, declared once.

A declaration gives a setting's default, range, step and help; the check of a YAML file, the
command-line option and the trackbar all come from it. `config.yaml` beside this module documents
the same settings for users and is what the defaults are (a test holds the two together).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

PROFILES = ("paper", "classic")


@dataclass(frozen=True, slots=True)
class Option:
    """What a setting may hold. `low`, `high` and `step` are inclusive and in the setting's unit."""

    help: str
    low: float | None = None
    high: float | None = None
    step: float = 1
    choices: tuple[Any, ...] = ()
    trackbar: str = ""

    def allowed(self) -> str:
        """The permitted values in words, for messages and help."""
        if self.choices:
            return "one of " + ", ".join(str(c) for c in self.choices)
        if self.low is None:
            return "any text"
        odd = ", odd" if self.step == 2 and self.low % 2 == 1 else ""
        return f"{self.low:g} to {self.high:g}{odd}"


def _option(default: Any, help: str, **limits: Any) -> Any:
    return field(default=default, metadata={"option": Option(help=help, **limits)})


def option_of(section: Any, name: str) -> Option:
    """The declaration of one setting, e.g. `option_of(PipelineSettings, "blur")`."""
    for f in fields(section):
        if f.name == name:
            found: Option = f.metadata["option"]
            return found
    raise KeyError(name)


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Where frames come from and what the camera is asked for."""

    width: int = _option(1280, "frame width to ask the camera for, pixels", low=16, high=7680)
    height: int = _option(720, "frame height to ask the camera for, pixels", low=16, high=4320)
    fps: float = _option(30.0, "frames per second to ask the camera for", low=1, high=240)
    backend: str = _option(
        "auto",
        "how cameras are opened; auto is DirectShow on Windows, the system's own elsewhere",
        choices=("auto", "any", "v4l2", "gstreamer", "dshow", "msmf", "avfoundation"),
    )
    timeout: float = _option(10.0, "seconds to wait for the first frame", low=0.5, high=120)


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """The published study's parameters; the first seven are the trackbars."""

    blur: int = _option(
        5, "Gaussian kernel, odd, pixels", low=1, high=71, step=2, trackbar="blur kernel"
    )
    canny_low: int = _option(
        40, "Canny's lower threshold", low=0, high=255, trackbar="canny low"
    )
    canny_ratio: int = _option(
        2, "Canny's upper threshold as a multiple of the lower", low=1, high=7, trackbar="canny ratio"
    )
    canny_aperture: int = _option(
        3, "Canny's Sobel kernel", choices=(3, 5, 7), trackbar="canny aperture"
    )
    dilate_kernel: int = _option(
        3, "side of the square that dilates the edges, pixels", low=1, high=15, trackbar="dilate kernel"
    )
    dilate_iterations: int = _option(
        1, "times the edges are dilated", low=0, high=8, trackbar="dilate times"
    )
    threshold: int = _option(
        0, "grey below this is ink; 0 finds it itself", low=0, high=255, trackbar="threshold 0=auto"
    )
    profile: str = _option(
        "paper", "paper: works untouched; classic: the published study", choices=PROFILES
    )


CLASSIC: dict[str, int] = {
    "blur": 21,
    "canny_low": 50,
    "canny_ratio": 2,
    "canny_aperture": 3,
    "dilate_kernel": 5,
    "dilate_iterations": 1,
    "threshold": 160,
}
"""The published study's values: the defaults of the profile `classic`."""


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """How boxes become tracks."""

    expiry: float = _option(
        0.3, "seconds after which a digit that is not seen is forgotten", low=0, high=5, step=0.05
    )


@dataclass(frozen=True, slots=True)
class ReadingSettings:
    """When a box carries a digit."""

    confidence: float = _option(
        0.6, "a box below this confidence carries no digit", low=0, high=1, step=0.01
    )


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The network that reads the crops."""

    name: str = _option("cnn", "a name under models/ (cnn, dense) or the path of a model folder")
    threads: int = _option(1, "threads of the network", low=1, high=16)
    batch: int = _option(64, "most crops that run at once", low=1, high=1024)


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """What is shown."""

    width: int = _option(
        0, "widest the picture is shown, pixels; 0 takes the frame's own, at most the screen", low=0, high=7680
    )
    confidence: bool = _option(True, "write each digit's confidence beside it")


@dataclass(frozen=True, slots=True)
class RecordingSettings:
    """What is recorded, and where."""

    folder: str = _option("recordings", "the folder that holds the recordings")
    crf: int = _option(23, "H.264 quality, lower is better and larger", low=0, high=51)
    preset: str = _option(
        "ultrafast",
        "H.264 speed against size",
        choices=("ultrafast", "superfast", "veryfast", "faster", "fast", "medium"),
    )
    min_free_mb: int = _option(
        200, "recording stops before the disk has less than this, MB", low=0, high=1_000_000
    )


@dataclass(frozen=True, slots=True)
class HandsSettings:
    """Hands over the page (extra `hands`)."""

    mode: str = _option(
        "auto", "auto: where the extra and a model are at hand; on; off", choices=("auto", "on", "off")
    )
    model: str = _option("", "a hand_landmarker.task file; empty uses the one fetched before")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, one field a section of config.yaml."""

    source: SourceSettings = field(default_factory=SourceSettings)
    pipeline: PipelineSettings = field(default_factory=PipelineSettings)
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    reading: ReadingSettings = field(default_factory=ReadingSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    window: WindowSettings = field(default_factory=WindowSettings)
    recording: RecordingSettings = field(default_factory=RecordingSettings)
    hands: HandsSettings = field(default_factory=HandsSettings)
