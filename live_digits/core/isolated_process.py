"""Processes of their own, for code of native libraries that a file or stream from elsewhere feeds.

Such a process finds the standard library and the installed packages, and nothing that lies in the
working folder, beside a model or on PYTHONPATH. What goes in and comes out are plain bytes of a
fixed form, never pickle.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import site
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from live_digits.core.errors import one_line
from live_digits.core.sanitize import sanitize

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PATIENCE_SECONDS = 30.0
"""Seconds that one call may take; raising it lets a network that hangs hold its reader longer."""
_MAX_ADDRESS_SPACE = 8 * 2**30
"""Address space of a process that runs a model, bytes, where the system can bound it."""
_MAX_ERROR_BYTES = 2000
"""Bytes of an error that are passed on."""
_MAX_SETUP_BYTES = 100_000
"""Bytes of the line that says what a process shall make."""
_NO_PACKAGES = 77
"""Exit status of a process that does not find the packages it needs."""
_PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])

_Request = struct.Struct("<q3I")
"""A call: a number and the shape of the uint8 picture (H×W×3, or N×28×28) whose bytes follow."""
_Answer = struct.Struct("<B2I")
"""An answer: 0 and the rows and columns of the float32 table that follows, or 1, the bytes of the
error text that follows, and 0."""

_BOOTSTRAP = """\
import importlib.machinery, importlib.util, site, sys
if {user_site!r}:
    known = list(sys.path)
    site.addsitedir({user_site!r})
    added = [p for p in sys.path if p not in known]
    sites = site.getsitepackages()
    at = next((i for i, p in enumerate(known) if p in sites), len(known))
    sys.path[:] = known[:at] + added + known[at:]
spec = importlib.machinery.PathFinder.find_spec("live_digits", [{parent!r}])
package = importlib.util.module_from_spec(spec)
sys.modules["live_digits"] = package
try:
    spec.loader.exec_module(package)
    {then}
except ModuleNotFoundError as e:
    print(e, file=sys.stderr)
    sys.exit({status})
"""
"""What an isolated Python runs first. A user's own site-packages come before the system's, as they
do in any Python; the package itself is loaded from where it lies, and what lies beside it is not
found."""


class IsolatedProcessError(Exception):
    """What lives in a process of its own raised, broke down or gave no answer; the text says it on
    one line."""


def isolated_python(then: str) -> list[str]:
    """Returns the command that runs a Python statement where only what is installed is found.

    Args:
        then: one statement on one line; `live_digits` can be imported in it.
    """
    user_site = site.getusersitepackages() if site.ENABLE_USER_SITE else ""
    code = _BOOTSTRAP.format(
        user_site=user_site if os.path.isabs(user_site) else "",
        parent=_PACKAGE_PARENT, then=then, status=_NO_PACKAGES,
    )  # fmt: skip
    return [sys.executable, "-I", "-c", code]


def isolated_module(name: str) -> list[str]:
    """Returns the command that runs a module as `python -m NAME` would; arguments may follow."""
    return isolated_python(f"import runpy; runpy.run_module({name!r}, None, '__main__', True)")


def isolated_environment() -> dict[str, str]:
    """Returns this process's environment without what tells Python where to find code."""
    return {k: v for k, v in os.environ.items() if not k.upper().startswith("PYTHON")}


def isolate_pools() -> None:
    """Makes the processes of `multiprocessing` isolated, which would take sys.path from this one.

    They, and its resource tracker, start with -I; on their path is what is installed, and last
    the package's folder. Without effect on those that run already.
    """
    from multiprocessing import spawn, util

    command = isolated_python("import json; print(json.dumps(sys.path))")
    environment = isolated_environment()
    said = subprocess.run(command, cwd=sys.prefix, env=environment, capture_output=True, check=True)
    path = json.loads(said.stdout)
    if _PACKAGE_PARENT not in path:
        path.append(_PACKAGE_PARENT)
    # The module offers no way to hand its processes an option.
    flags, prepared = vars(util)["_args_from_interpreter_flags"], spawn.get_preparation_data
    util.__dict__["_args_from_interpreter_flags"] = lambda: ["-I", *flags()]
    spawn.__dict__["get_preparation_data"] = lambda name: prepared(name) | {"sys_path": path}


def start_isolated(then: str) -> subprocess.Popen[bytes]:
    """Starts an isolated Python outside the working folder, to be talked to by its pipes.

    Ctrl+C in a terminal does not reach it. Raises OSError.
    """
    return subprocess.Popen(
        isolated_python(then),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=sys.prefix,
        env=isolated_environment(),
        start_new_session=True,
    )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kills a process of `start_isolated` and what it has started; its pipes then end."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if process.poll() is None:  # else its number may be another's already
                os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process of `start_isolated`. May be called twice."""
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
    try:
        process.wait(0.1)  # at its end of input it ends by itself
    except subprocess.TimeoutExpired:
        kill_group(process)
        process.wait()


def exactly(pipe: IO[bytes], size: int) -> bytes:
    """Reads `size` bytes. Raises EOFError where the pipe ends before."""
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError(f"{len(data)} of {size} bytes")
    return data


def take_answers() -> IO[bytes]:
    """Returns a process's standard output for answers; what a library prints goes elsewhere."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


class IsolatedProcess:
    """A function in a process of its own, which a damaged file may crash or hang without harm to
    this one. Belongs to one thread at a time, but for `close`."""

    def __init__(self, module: str, factory: str, content: bytes, **settings: str | int) -> None:
        """Makes the function there, `module.factory(content, **settings)`.

        It takes a picture (uint8, at most three axes) and a number, and returns a float32 table.

        Raises:
            IsolatedProcessError: with what the factory raised, or how the process ended.
        """
        try:
            process = start_isolated(
                "from live_digits.core.isolated_process import _serve; _serve()"
            )
        except OSError as e:
            raise IsolatedProcessError(
                f"no process can be started for it: {e.strerror or e}"
            ) from e
        self._process = process
        self.close = weakref.finalize(self, end, process)
        """Ends the process. May be called twice."""
        asked = {"module": module, "factory": factory, "settings": settings, "size": len(content)}
        self._ask(json.dumps(asked).encode() + b"\n", content, 0, 0)

    def __call__(
        self, picture: npt.NDArray[np.uint8], number: int = 0, *, rows: int, columns: int
    ) -> npt.NDArray[np.float32]:
        """Calls the function.

        Args:
            picture: uint8 with three axes.
            number: any, such as a time.
            rows: most rows of the answer.
            columns: the answer's columns.

        Raises:
            IsolatedProcessError: what it raised there; where it did not answer, or with something
                else than such a table of finite numbers, the process is gone.
        """
        return self._ask(_Request.pack(number, *picture.shape), picture.tobytes(), rows, columns)

    def _ask(self, head: bytes, content: bytes, rows: int, columns: int) -> npt.NDArray[np.float32]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        expired = threading.Event()

        def expire() -> None:
            expired.set()  # before it is killed: its end must not look like its own
            kill_group(process)

        late = threading.Timer(PATIENCE_SECONDS, expire)
        late.daemon = True
        late.start()
        try:
            process.stdin.write(head)
            process.stdin.write(content)
            process.stdin.flush()
            answer = _answer_of(process.stdout, rows, columns)
        except (OSError, EOFError, ValueError) as e:
            self.close()
            raise IsolatedProcessError(self._ending(expired.is_set(), e)) from e
        finally:
            late.cancel()
        if isinstance(answer, str):
            raise IsolatedProcessError(answer)
        return answer

    def _ending(self, hung: bool, error: Exception) -> str:
        if hung:
            return f"it gave no answer within {PATIENCE_SECONDS:g} s"
        status = self._process.returncode
        if status == _NO_PACKAGES:
            return (
                "the packages that read it are found by this program only; install them for this "
                "Python (what is on PYTHONPATH does not count for models from elsewhere)"
            )
        if isinstance(error, _NotAnAnswerError):
            return f"what reads it broke down ({error}): it is damaged"
        return f"what reads it broke down (exit status {status}): it is damaged"


class _NotAnAnswerError(ValueError):
    """The bytes that came are no answer."""


def _answer_of(pipe: IO[bytes], rows: int, columns: int) -> str | npt.NDArray[np.float32]:
    """Reads a table of at most `rows` and exactly `columns`, or an error's text. Raises EOFError,
    _NotAnAnswerError."""
    import numpy as np

    kind, first, second = _Answer.unpack(exactly(pipe, _Answer.size))
    if kind == 1 and first <= _MAX_ERROR_BYTES:
        return sanitize(exactly(pipe, first).decode("utf-8", "replace"))
    if kind != 0 or first > rows or second != columns:
        raise _NotAnAnswerError("its answer has another form")
    table = np.frombuffer(exactly(pipe, 4 * first * second), "<f4").reshape(first, second)
    if not np.isfinite(table).all():
        raise _NotAnAnswerError("it answers with what is no number")
    return table.astype(np.float32)


def _serve() -> None:
    """The other side of IsolatedProcess: what to make, then the calls."""
    import importlib

    import numpy as np

    if sys.platform == "linux":
        import resource

        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (_MAX_ADDRESS_SPACE, _MAX_ADDRESS_SPACE))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests, answers = sys.stdin.buffer, take_answers()
    made: Callable[..., Any] | None = None
    while True:
        table = np.zeros((0, 0), np.float32)
        try:
            if made is None:
                asked: Mapping[str, Any] = json.loads(requests.readline(_MAX_SETUP_BYTES))
                content = exactly(requests, asked["size"])
                factory = getattr(importlib.import_module(asked["module"]), asked["factory"])
                made = factory(content, **asked["settings"])
            else:
                head = requests.read(_Request.size)
                if len(head) < _Request.size:
                    return
                number, *shape = _Request.unpack(head)
                size = int(np.prod(shape, dtype=np.int64))
                picture = np.frombuffer(exactly(requests, size), np.uint8).reshape(shape)
                table = np.asarray(made(picture, number), "<f4")
        except EOFError:
            return
        except Exception as e:
            text = one_line(e).encode("utf-8", "replace")[:_MAX_ERROR_BYTES]
            answers.write(_Answer.pack(1, len(text), 0) + text)
        else:
            answers.write(_Answer.pack(0, *table.shape))
            answers.write(np.ascontiguousarray(table).tobytes())
        answers.flush()
        if made is None:
            return
