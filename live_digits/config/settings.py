"""Every setting, declared once.

A declaration gives a setting's default, range, step and help; the check of a YAML file
(`config_file`), the command-line option and the trackbar all come from it.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from live_digits.core.errors import ConfigError

_LONGEST = 60
"""Longest part of a wrong value that a message repeats."""

PROFILES = ("paper", "classic")


@dataclass(frozen=True, slots=True)
class SettingSpec:
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
    return field(default=default, metadata={"option": SettingSpec(help=help, **limits)})


def option_of(section: Any, name: str) -> SettingSpec:
    """The declaration of one setting, e.g. `option_of(PipelineSettings, "blur")`."""
    for f in fields(section):
        if f.name == name:
            found: SettingSpec = f.metadata["option"]
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
    max_megapixels: int = _option(
        36,
        "largest picture or frame that is read, millions of pixels; a JPEG above is read at half, "
        "a quarter or an eighth of its size, as far as 200; 36 take up to 1 GB, and 10 s a picture",
        low=1,
        high=200,
    )

    @property
    def max_pixels(self) -> int:
        """Pixels of the largest picture or frame that is read."""
        return self.max_megapixels * 1_000_000


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """The published study's parameters; the first seven are the trackbars."""

    blur: int = _option(
        5, "Gaussian kernel, odd, pixels", low=1, high=71, step=2, trackbar="blur kernel"
    )
    canny_low: int = _option(40, "Canny's lower threshold", low=0, high=255, trackbar="canny low")
    canny_ratio: int = _option(
        2,
        "Canny's upper threshold as a multiple of the lower",
        low=1,
        high=7,
        trackbar="canny ratio",
    )
    canny_aperture: int = _option(
        3, "Canny's Sobel kernel", choices=(3, 5, 7), trackbar="canny aperture"
    )
    dilate_kernel: int = _option(
        3,
        "side of the square that dilates the edges, pixels",
        low=1,
        high=15,
        trackbar="dilate kernel",
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
        0.5, "a box below this confidence carries no digit", low=0, high=1, step=0.01
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
        0,
        "widest the picture is shown, pixels; 0 takes the frame's own, at most the screen",
        low=0,
        high=7680,
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
    raw: str = _option(
        "off",
        "the camera's own frames beside the annotated ones: exact, or high (lossy, but a third of "
        "the work and a fifth of the disk)",
        choices=("off", "lossless", "high"),
    )
    min_free_mb: int = _option(
        200, "recording stops before the disk has less than this, MB", low=0, high=1_000_000
    )


@dataclass(frozen=True, slots=True)
class HandsSettings:
    """Hands over the page (extra `hands`)."""

    mode: str = _option(
        "auto",
        "auto: where the extra and a model are at hand; on; off",
        choices=("auto", "on", "off"),
    )
    model: str = _option("", "a hand_landmarker.task file; empty uses the one fetched before")
    open_palm: bool = _option(False, "an open palm, held for half a second, freezes the picture")
    fist: bool = _option(False, "a fist, held for half a second, lets the picture go on")
    thumb_up: bool = _option(
        False, "a thumb up, held for half a second, begins a recording or ends it"
    )
    two_fingers: bool = _option(
        False, "two fingers, held for half a second, extract the sheet of crops"
    )
    mirror: bool = _option(
        False, "air writing: the camera faces the writer, so strokes are read mirrored"
    )


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


TRACKBARS: tuple[str, ...] = tuple(
    f.name for f in fields(PipelineSettings) if f.metadata["option"].trackbar
)
"""The pipeline's settings that have a slider, in the order shown."""


def slider_max(option: SettingSpec) -> int:
    """The last position of a slider that begins at 0."""
    if option.choices:
        return len(option.choices) - 1
    assert option.low is not None
    assert option.high is not None
    return int((option.high - option.low) // option.step)


def from_slider(option: SettingSpec, position: int) -> int:
    """The value at a slider's position; positions outside are taken as the nearest inside."""
    position = max(0, min(position, slider_max(option)))
    if option.choices:
        return int(option.choices[position])
    assert option.low is not None
    return int(option.low + position * option.step)


def to_slider(option: SettingSpec, value: int) -> int:
    """The position whose value is nearest to `value`."""
    return min(range(slider_max(option) + 1), key=lambda p: abs(from_slider(option, p) - value))


def profile_defaults(profile: str) -> PipelineSettings:
    """The pipeline's defaults of a profile. Raises ConfigError for an unknown one."""
    if profile == "classic":
        return PipelineSettings(profile="classic", **CLASSIC)
    if profile == "paper":
        return PipelineSettings()
    raise ConfigError(f"no profile {profile!r}{nearest(profile, PROFILES)}: {', '.join(PROFILES)}")


def nearest(word: str, known: Iterable[str]) -> str:
    """' (did you mean …?)' or nothing."""
    close = difflib.get_close_matches(str(word), list(known), 1, 0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def sections() -> dict[str, type[Any]]:
    """The name and class of each section."""
    return {f.name: type(getattr(Settings(), f.name)) for f in fields(Settings)}


def checked_value(section: str, key: str, value: Any) -> Any:
    """`value` as the setting's own type. Raises ConfigError naming the setting and its range."""
    known = sections()
    if section not in known:
        raise ConfigError(
            f"unknown section {value_text(section)}{nearest(section, known)}; there are "
            f"{', '.join(known)}"
        )
    names = [f.name for f in fields(known[section])]
    if key not in names:
        raise ConfigError(
            f"unknown setting {value_text(f'{section}.{key}')}{nearest(key, names)}; {section} has "
            f"{', '.join(names)}"
        )
    option = option_of(known[section], key)
    default = getattr(known[section](), key)
    wrong = ConfigError(
        f"{section}.{key} is {value_text(value)}, expected "
        f"{_kind(default)} {option.allowed()}".rstrip()
    )
    value = _typed(value, default, wrong)
    if option.choices and value not in option.choices:
        raise wrong
    if option.low is not None and option.high is not None:
        if not option.low <= value <= option.high:
            raise wrong
        if option.step == 2 and (value - option.low) % 2:
            raise wrong
    return value


def value_text(value: Any) -> str:
    """A wrong value as a message repeats it."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _kind(default: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text,"}
    return names[type(default)] if not isinstance(default, bool) else "true or false"


_POWER = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")
"""A number such as 1e-3, which YAML 1.1 takes for a text."""


def _typed(value: Any, default: Any, wrong: ConfigError) -> Any:
    if isinstance(default, bool) or isinstance(value, bool):
        if isinstance(value, bool) and isinstance(default, bool):
            return value
        raise wrong
    if isinstance(default, float) and isinstance(value, str) and _POWER.fullmatch(value):
        value = float(value)
    if isinstance(default, float) and isinstance(value, (int, float)):
        try:
            number = float(value)
        except OverflowError:
            raise wrong from None
        if not math.isfinite(number):
            raise wrong
        return number
    if isinstance(default, int) and isinstance(value, int):
        return value
    if isinstance(default, str) and isinstance(value, str) and "\x00" not in value:
        try:
            os.fsencode(value)
        except UnicodeEncodeError:  # half a surrogate pair: no name of a file or model
            raise wrong from None
        return value
    if isinstance(default, str) and isinstance(value, int) and abs(value) < 10**_LONGEST:
        return str(value)
    raise wrong


def as_dict(settings: Settings) -> dict[str, dict[str, Any]]:
    """All settings as plain values, as a config file would hold them."""
    return asdict(settings)
