"""Every setting, declared once.

A declaration gives a setting's default, range, step and help; the check of a YAML file, the
command-line option and the trackbar all come from it. `config.yaml` beside this module documents
the same settings for users and is what the defaults are (a test holds the two together).
"""

from __future__ import annotations

import difflib
import io
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import platformdirs
import yaml

from live_digits.errors import ConfigError
from live_digits.outside import YAML_FAULTS, NotPlainError, check_yaml, read_bytes
from live_digits.paths import data_folder

_LONGEST = 60
"""Longest part of a wrong value that a message repeats."""
_LARGEST = 200_000
"""Most characters of a config file."""

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


def slider_max(option: Option) -> int:
    """The last position of a slider that begins at 0."""
    if option.choices:
        return len(option.choices) - 1
    assert option.low is not None
    assert option.high is not None
    return int((option.high - option.low) // option.step)


def from_slider(option: Option, position: int) -> int:
    """The value at a slider's position; positions outside are taken as the nearest inside."""
    position = max(0, min(position, slider_max(option)))
    if option.choices:
        return int(option.choices[position])
    assert option.low is not None
    return int(option.low + position * option.step)


def to_slider(option: Option, value: int) -> int:
    """The position whose value is nearest to `value`."""
    return min(range(slider_max(option) + 1), key=lambda p: abs(from_slider(option, p) - value))


def profile_defaults(profile: str) -> PipelineSettings:
    """The pipeline's defaults of a profile. Raises ConfigError for an unknown one."""
    if profile == "classic":
        return PipelineSettings(profile="classic", **CLASSIC)
    if profile == "paper":
        return PipelineSettings()
    raise ConfigError(f"no profile {profile!r}{_nearest(profile, PROFILES)}: {', '.join(PROFILES)}")


def _nearest(word: str, known: Iterable[str]) -> str:
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
            f"unknown section {_shown(section)}{_nearest(section, known)}; there are "
            f"{', '.join(known)}"
        )
    names = [f.name for f in fields(known[section])]
    if key not in names:
        raise ConfigError(
            f"unknown setting {_shown(f'{section}.{key}')}{_nearest(key, names)}; {section} has "
            f"{', '.join(names)}"
        )
    option = option_of(known[section], key)
    default = getattr(known[section](), key)
    wrong = ConfigError(
        f"{section}.{key} is {_shown(value)}, expected {_kind(default)} {option.allowed()}".rstrip()
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


def _shown(value: Any) -> str:
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


def default_config_path() -> Path:
    """The documented config.yaml that comes with the program."""
    return data_folder() / "config.yaml"


def find_config() -> Path | None:
    """The user's config file: config.yaml in the working folder, else in the user's own config
    folder; None where there is neither."""
    for path in (Path("config.yaml"), user_config_path()):
        if path.is_file():
            return path
    return None


def user_config_path() -> Path:
    """Where a config file is made for a user who has none."""
    return platformdirs.user_config_path("live_digits", appauthor=False) / "config.yaml"


def _places_of(node: Any) -> dict[tuple[str, ...], tuple[int, str]]:
    """The line (from 1) of every section and key of a YAML mapping node, and the key's value as it
    is written ("" for what is no scalar)."""
    places: dict[tuple[str, ...], tuple[int, str]] = {}

    def note(path: tuple[str, ...], key: yaml.Node, value: yaml.Node) -> None:
        line = key.start_mark.line + 1
        if path in places:
            raise ConfigError(f"line {line}: {_shown('.'.join(path))} stands twice; keep one")
        places[path] = line, str(value.value) if isinstance(value, yaml.ScalarNode) else ""

    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if not isinstance(key, yaml.ScalarNode):
            continue
        note((str(key.value),), key, value)
        for inner, setting in value.value if isinstance(value, yaml.MappingNode) else ():
            if isinstance(inner, yaml.ScalarNode):
                note((str(key.value), str(inner.value)), inner, setting)
    return places


def _as_meant(section: str, key: str, value: Any, written: str) -> Any:
    """A text that YAML takes for something else (a folder 2026-01-01, a mode `off`) as written."""
    known = sections()[section]
    default = getattr(known(), key, None)
    if not written or not isinstance(default, str):
        return value
    if isinstance(value, bool):
        return written if written in option_of(known, key).choices else value
    return written if isinstance(value, (int, float, date)) else value


def _text_of(path: Path) -> str:
    """The text of a config file. Raises OSError, UnicodeDecodeError."""
    content = read_bytes(path, 4 * _LARGEST)  # no character has more than four bytes
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig").read()


def parse(text: str, name: str = "config") -> dict[str, dict[str, Any]]:
    """The settings that a YAML text holds, each checked. Raises ConfigError with the line."""
    if len(text) > _LARGEST:
        raise ConfigError(
            f"{name} has {len(text)} characters; a config file has at most {_LARGEST}"
        )
    try:
        check_yaml(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        what = " ".join(str(getattr(e, "problem", None) or e).split())
        raise ConfigError(f"{name}{where}: not valid YAML: {what}") from e
    except NotPlainError as e:
        raise ConfigError(f"{name}, {e}; a config file is sections of plain settings") from e
    except YAML_FAULTS as e:
        raise ConfigError(f"{name}: not a config file: {type(e).__name__}: {e}") from e
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{name} is no mapping of sections; expected lines such as 'pipeline:'")
    try:
        places = _places_of(node)
    except ConfigError as e:
        raise ConfigError(f"{name}, {e}") from e
    found: dict[str, dict[str, Any]] = {}
    for title, entries in content.items():
        section = title if isinstance(title, str) else _shown(title)
        line, _ = places.get((section,), (0, ""))
        where = f"{name}, line {line}" if line else name
        if section not in sections():
            known = sections()
            raise ConfigError(
                f"{where}: unknown section {_shown(section)}{_nearest(section, known)}; there are "
                f"{', '.join(known)}"
            )
        if entries is None:
            continue
        if not isinstance(entries, dict):
            raise ConfigError(
                f"{where}: {section} is {_shown(entries)}, expected settings under it"
            )
        for label, value in entries.items():
            key = label if isinstance(label, str) else _shown(label)
            line, written = places.get((section, key), (line, ""))
            try:
                value = _as_meant(section, key, value, written)
                checked = checked_value(section, key, value)
            except ConfigError as e:
                raise ConfigError(f"{name}, line {line}: {e}") from e
            found.setdefault(section, {})[key] = checked
    return found


def parse_override(text: str) -> tuple[str, str, Any]:
    """`section.key=value` of the command line. Raises ConfigError."""
    path, sign, raw = text.partition("=")
    section, dot, key = path.strip().partition(".")
    if not sign or not dot:
        raise ConfigError(f"--set {text!r}: expected section.key=value, such as pipeline.blur=5")
    try:
        if len(raw) > _LARGEST:
            raise ConfigError(f"--set {path.strip()}: the value has {len(raw)} characters")
        check_yaml(raw)
        value = yaml.safe_load(raw)
    except (yaml.YAMLError, *YAML_FAULTS):
        value = raw
    default = getattr(sections()[section](), key, None) if section in sections() else None
    if isinstance(default, str):
        value = raw.strip()
    return section, key, checked_value(section, key, value)


def load(
    path: Path | None = None,
    overrides: Iterable[str] = (),
    profile: str | None = None,
    values: Mapping[tuple[str, str], Any] | None = None,
) -> Settings:
    """The settings of a run: defaults of the profile, then the file, then `values` by (section,
    key), then `section.key=value` overrides; `profile` is the command line's own choice. A file's
    pipeline belongs to the file's profile: under another profile it does not count.

    Raises ConfigError for anything that is unknown, of the wrong type or out of range.
    """
    found: dict[str, dict[str, Any]] = {}
    if path is not None:
        try:
            text = _text_of(path)
        except FileNotFoundError as e:
            raise ConfigError(f"no config file {path}; leave --config out for the defaults") from e
        except (OSError, UnicodeDecodeError) as e:
            reason = getattr(e, "strerror", None) or e
            raise ConfigError(f"config file {path} cannot be read: {reason}") from e
        found = parse(text, str(path))
    asked: dict[str, dict[str, Any]] = {}
    for (section, key), value in (values or {}).items():
        asked.setdefault(section, {})[key] = checked_value(section, key, value)
    for text in overrides:
        section, key, value = parse_override(text)
        asked.setdefault(section, {})[key] = value
    if profile is not None:
        asked.setdefault("pipeline", {})["profile"] = checked_value("pipeline", "profile", profile)
    mine = found.get("pipeline", {}).get("profile", "paper")
    if asked.get("pipeline", {}).get("profile", mine) != mine:
        found.pop("pipeline", None)
    for section, entries in asked.items():
        found.setdefault(section, {}).update(entries)
    chosen = found.get("pipeline", {}).get("profile", "paper")
    base = {"pipeline": profile_defaults(chosen)}
    parts = {
        name: replace(base.get(name, kind()), **found.get(name, {}))
        for name, kind in sections().items()
    }
    return Settings(**parts)


def write_back(path: Path, changes: Mapping[tuple[str, str], Any]) -> None:
    """Writes settings into a config file and keeps its comments, order and all else. A file that is
    not there is begun from the documented one. Raises ConfigError."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, ScalarString

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096
    try:
        source = path if path.is_file() else default_config_path()
        text = _text_of(source)
        parse(text, str(source))
        content = editor.load(text) or {}
        for (section, key), value in changes.items():
            if content.get(section) is None:
                content[section] = {}
            value = checked_value(section, key, value)
            # Unquoted, `yes` and `off` would come back as true and false.
            bare = not isinstance(content[section].get(key), ScalarString)
            quoted = isinstance(value, str) and bare
            content[section][key] = DoubleQuotedScalarString(value) if quoted else value
        out = io.StringIO()
        editor.dump(content, out)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(path.name + ".new")
        scratch.write_text(out.getvalue(), encoding="utf-8")
        os.replace(scratch, path)
    except (OSError, UnicodeDecodeError, YAMLError) as e:
        raise ConfigError(f"the settings cannot be written to {path}: {e}") from e


def as_dict(settings: Settings) -> dict[str, dict[str, Any]]:
    """All settings as plain values, as a config file would hold them."""
    return asdict(settings)


def documented() -> str:
    """The text of config.yaml: every setting with its help, range and default."""
    lines = [
        "# live_digits: every setting with its default.",
        "# A file of your own may hold any subset: put it beside your work as config.yaml, or name",
        "# it with --config. The key w in the window writes the sliders back here.",
    ]
    for section, kind in sections().items():
        lines += ["", f"# {' '.join((kind.__doc__ or '').split())}", f"{section}:"]
        for f in fields(kind):
            option: Option = f.metadata["option"]
            allowed = "" if option.allowed() == "any text" else f" ({option.allowed()})"
            value = getattr(kind(), f.name)
            shown = json.dumps(value) if isinstance(value, (str, bool)) else f"{value:g}"
            if isinstance(value, float) and "." not in shown:
                shown += ".0"
            lines += [f"  # {option.help}{allowed}", f"  {f.name}: {shown}"]
    return "\n".join(lines) + "\n"
