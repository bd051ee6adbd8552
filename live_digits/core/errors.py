"""Every error that live_digits raises on purpose.

    LiveDigitsError             one clear line for the user, exit code 2
    ├── ConfigError             a setting that is unknown, of the wrong type or out of range
    ├── SourceError             a camera, file, folder or stream that gives no frames
    ├── ModelError              a model that is missing, damaged or of another shape
    ├── RecordingError          a recording that cannot be started or continued
    ├── DisplayError            no display, or a window that cannot be opened
    ├── WorkerError             a thread that gives no answer any more
    ├── MissingExtraError       a feature whose optional packages are not installed
    └── HandsError              a hand model that is missing or damaged

The message says what was got, what was expected and what to do; it is printed as it is.
No message of a source carries a password: `redact` has been over it.
"""

from __future__ import annotations

import re

_SECRETS = re.compile(
    r"(?i)([?&;](?:\w*(?:passw|pwd|token|secret|api_?key|signature)\w*|pass|pw|auth|key|sig)=)[^&;#\s]+"
)
"""A password in a URL's query."""
_STARRED = r"\1***"
_BARE = re.compile(r"([^\s/@:'\"]{2,}):\S+@")
"""A password in what is no whole URL: user:password@host."""


def one_line(error: BaseException | None) -> str:
    """What an error says, on one line, without the file that it names; its type where it says
    nothing."""
    text = str(getattr(error, "strerror", None) or error)
    return " ".join(text.split()) or type(error).__name__


def without_address(error: BaseException) -> str:
    """What the system says of an error, or its type: never its own text, which may hold an address
    with a password."""
    return getattr(error, "strerror", None) or type(error).__name__


def redact(text: str) -> str:
    """A URL, or a text that holds some, with its passwords starred: user:password@ → user:***@,
    ?pwd=password → ?pwd=***."""
    if "://" in text:
        before, sign, rest = text.partition("://")
        return _redact_url(before, sign, rest)
    return _SECRETS.sub(_STARRED, _BARE.sub(r"\1:***@", text))


def _redact_url(head: str, sign: str, rest: str) -> str:
    cut = re.search(r"[/?#]", rest)
    end = cut.start() if cut else len(rest)
    authority = rest[:end]
    if "@" not in authority and re.match(r"[^:]*:(?!\d*$)", authority):
        end, authority = len(rest), rest  # a password with a bare / in it
    user, at, host = authority.rpartition("@")
    if at and ":" in user:
        authority = f"{user.partition(':')[0]}:***@{host}"
    return f"{head}{sign}{authority}{_SECRETS.sub(_STARRED, rest[end:])}"


class LiveDigitsError(Exception):
    """Base of all errors with a message made for the user."""


class ConfigError(LiveDigitsError):
    """A setting is unknown, of the wrong type or out of range."""


class SourceError(LiveDigitsError):
    """A camera, file, folder or stream gives no frames."""

    def __init__(self, message: str) -> None:
        # The net below all that names its source with care: each word by itself.
        super().__init__(re.sub(r"\S+", lambda word: redact(word[0]), message))


def too_many_pixels(begin: str, size: tuple[int, int], most: int) -> SourceError:
    """Returns the error for a picture or video of more pixels than are read.

    Args:
        begin: how the sentence begins, such as "NAME has".
        size: width and height.
        most: pixels that are read.
    """
    return SourceError(
        f"{begin} {size[0]}×{size[1]} pixels; at most {most / 10**6:g} megapixels are read: "
        "make it smaller, or raise source.max_megapixels"
    )


class ModelError(LiveDigitsError):
    """A model is missing, damaged or of another shape than expected."""


class RecordingError(LiveDigitsError):
    """A recording cannot be started or continued."""


class DisplayError(LiveDigitsError):
    """There is no display, or the window cannot be opened."""


class HandsError(LiveDigitsError):
    """The hand model is missing or damaged."""


class WorkerError(LiveDigitsError):
    """A thread gives no answer any more."""


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
