"""The file hand_landmarker.task: where it is, how it gets there, whether it is the right one."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

import platformdirs

from live_digits.config.settings import HandsSettings
from live_digits.core.errors import HandsError

MODEL_URL = (
    "https://storage.googleapis.com/mediapipe-models/"
    "hand_landmarker/hand_landmarker/float16/1/hand_landmarker.task"
)
"""The published model, as the MediaPipe documentation names it."""
MODEL_SHA256 = "fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1"
MODEL_NAME = "hand_landmarker.task"
MODEL_VARIABLE = "LIVE_DIGITS_HAND_MODEL"
"""Environment variable that names a model file."""
_TIMEOUT = 20.0
"""Seconds without a byte after which the fetching gives up."""
_CHUNK = 1 << 16
"""Bytes read at once while fetching."""
LARGEST = 64_000_000
"""Most bytes that are fetched; the model has about 8 million."""


def cached_model() -> Path:
    """Where a fetched model is kept, there or not."""
    return platformdirs.user_cache_path("live_digits", appauthor=False) / MODEL_NAME


def find_model(settings: HandsSettings) -> Path | None:
    """The model file: the one that is set, else the environment's, else the one fetched before;
    None where there is none. Raises HandsError for a named file that is not there."""
    for name, place in (
        (settings.model, "hands.model"),
        (os.environ.get(MODEL_VARIABLE, ""), MODEL_VARIABLE),
    ):
        if name:
            path = Path(os.path.expanduser(name))
            if not path.is_file():
                raise HandsError(f"no hand model {path}, which {place} names; correct or unset it")
            return path
    path = cached_model()
    return path if path.is_file() else None


def fetch_model(progress: Callable[[int, int], None]) -> Path:
    """Fetches the published model into the cache folder, checks it, and returns its path.

    `progress` is called with the bytes so far and in all (0 where the server does not say).
    A file that is not whole and right never gets the model's name. Raises HandsError.
    """
    path = cached_model()
    scratch: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=MODEL_NAME, suffix=".part", delete=False
        ) as file:
            scratch = Path(file.name)
            digest = _download(file, progress)
        if digest != MODEL_SHA256:
            raise HandsError(
                f"what {MODEL_URL} gave is not the published hand model (sha256 {digest}, expected "
                f"{MODEL_SHA256}); nothing was kept: try again, or on another network"
            )
        os.replace(scratch, path)
    except OSError as e:
        raise HandsError(
            f"the hand model cannot be kept in {path.parent}: {e.strerror or e}; free the folder, "
            "or name a file by hands.model"
        ) from e
    finally:
        if scratch is not None:
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
    return path


def _download(file: IO[bytes], progress: Callable[[int, int], None]) -> str:
    """Writes what MODEL_URL gives into `file`; its sha256. Raises HandsError for what the network
    does, OSError for what the disk does."""
    digest = hashlib.sha256()
    done = 0
    with contextlib.ExitStack() as stack:
        try:
            response = stack.enter_context(urllib.request.urlopen(MODEL_URL, timeout=_TIMEOUT))
            length = response.headers.get("Content-Length") or ""
        except (OSError, http.client.HTTPException) as e:
            raise _unreachable(e) from e
        total = int(length) if length.isdecimal() else 0
        progress(0, total)
        while True:
            try:
                chunk = response.read(_CHUNK)
            except (OSError, http.client.HTTPException) as e:
                raise _unreachable(e) from e
            if not chunk:
                break
            done += len(chunk)
            if done > LARGEST:
                raise _unreachable(f"it has more than {LARGEST} bytes")
            file.write(chunk)
            digest.update(chunk)
            progress(done, total)
    if done < total:
        raise _unreachable(f"it broke off after {done} of {total} bytes")
    return digest.hexdigest()


def _unreachable(reason: object) -> HandsError:
    if type(reason) is urllib.error.URLError:  # not its child HTTPError, which says it itself
        reason = reason.reason
    if isinstance(reason, OSError) and reason.strerror:
        reason = reason.strerror
    return HandsError(
        f"the hand model cannot be fetched from {MODEL_URL}: {reason}; go online once, or fetch "
        f"the file elsewhere and name it by hands.model or {MODEL_VARIABLE}"
    )


def is_published(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == MODEL_SHA256
