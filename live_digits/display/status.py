"""What the picture tells beside the digits: source, figures, recording, hands."""

from __future__ import annotations

from dataclasses import dataclass

from live_digits.core.types import Floats


@dataclass(frozen=True, slots=True)
class GestureProgress:
    """A gesture that is being made: its name, how far it has come (0…1), and where the hand is, as
    shares of the picture's width and height."""

    name: str
    share: float
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class AirDrawing:
    """What is written in the air: strokes and the finger's tip as points of shares (0…1) of the
    picture's width and height, and the number so far. `down`: the finger draws."""

    number: str = ""
    strokes: tuple[Floats, ...] = ()
    tip: tuple[float, float] | None = None
    down: bool = False


@dataclass(frozen=True, slots=True)
class HudStatus:
    """What the overlay writes beside the picture."""

    source: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    latency_ms: float = 0.0
    vision_ms: float = 0.0
    vision_fps: float = 0.0
    batch: int = 0
    inference_ms: float = 0.0
    dropped: int = 0
    profile: str = "paper"
    model: str = ""
    view: str = "result"
    frozen: bool = False
    help: bool = False
    recording_s: float | None = None
    recording_dropped: int = 0
    silent_s: float | None = None
    """Seconds since the last frame of a source whose signal is gone."""
    message: str = ""
    error: str = ""
    ring: GestureProgress | None = None
    air: AirDrawing | None = None
