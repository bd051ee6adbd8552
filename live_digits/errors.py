"""Every error that live_digits raises on purpose.

    LiveDigitsError             one clear line for the user, exit code 2
    ├── ConfigError             a setting that is unknown, of the wrong type or out of range
    ├── SourceError             a camera, file, folder or stream that gives no frames
    ├── ModelError              a model that is missing, damaged or of another shape
    ├── RecordingError          a recording that cannot be started or continued
    ├── DisplayError            no display, or a window that cannot be opened
    ├── MissingExtraError       a feature whose optional packages are not installed
    └── HandsError              a hand model that is missing or damaged

The message says what was got, what was expected and what to do; it is printed as it is.
"""


class LiveDigitsError(Exception):
    """Base of all errors with a message made for the user."""


class ConfigError(LiveDigitsError):
    """A setting is unknown, of the wrong type or out of range."""


class SourceError(LiveDigitsError):
    """A camera, file, folder or stream gives no frames."""


class ModelError(LiveDigitsError):
    """A model is missing, damaged or of another shape than expected."""


class RecordingError(LiveDigitsError):
    """A recording cannot be started or continued."""


class DisplayError(LiveDigitsError):
    """There is no display, or the window cannot be opened."""


class HandsError(LiveDigitsError):
    """The hand model is missing or damaged."""


class MissingExtraError(LiveDigitsError):
    """A feature needs optional packages that are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the extra '{extra}': install it with  "
            f'pip install "live-digits[{extra}]"'
            f'  (from a checkout: pip install ".[{extra}]")'
        )
        self.feature = feature
        self.extra = extra
