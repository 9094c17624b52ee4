"""Starts child processes, and communicates with those that serve requests.

A child starts in Python's isolated mode (``-I``), in the root folder of the file system, with few environment
variables. It imports from the same folders as this process, except from the working folder: anyone who can put a file
``json.py`` beside the documents must not get it run.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ragkit._child import EXIT_CPU
from ragkit._machine import cpu_ticks
from ragkit.errors import ProcessStartError

_START = (
    "import json, runpy, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
_FOLDER = os.sep
"""The working folder of every child: it exists everywhere and contains no code."""
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_", "TZ", "TMPDIR", "XDG_CACHE_HOME", "LD_", "DYLD_")
"""Prefixes of the environment variables that every child gets: folders, language and the dynamic linker's."""
_STARTUP = 60.0
"""Seconds that a child may take to start, not counting those in which it uses the processor."""
_SLICE = 0.25
"""Seconds between two looks at a child that writes nothing."""
_UNSEEN = 6.0
"""Times that a child may stay silent for longer where its use of the processor can't be seen (macOS)."""


def run(module: str, *arguments: str, keep: Iterable[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run a module like ``python -m``, and return its exit code and output.

    Args:
        module: module with code for ``__main__``.
        arguments: arguments of the command line; paths must be absolute.
        keep: prefixes of further environment variables that it gets; ``""`` for all.

    Raises:
        ProcessStartError: if the operating system refuses to start it.
    """
    try:
        return subprocess.run(
            _command(module, arguments),
            cwd=_FOLDER,
            env=_environment(keep),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise _refused(module, error) from error


class Child:
    """A process that runs ``ragkit._child.serve`` and stays warm between requests.

    Args:
        module: module that calls ``serve`` when it is run.
        memory: bytes that a request may take.
        keep: prefixes of further environment variables that it gets; ``""`` for all.

    Raises:
        ProcessStartError: if it ends, or hangs, before it is ready.
    """

    def __init__(self, module: str, memory: int, keep: Iterable[str] = ()) -> None:
        try:
            self._process = subprocess.Popen(
                _command(module, (str(memory),)),
                cwd=_FOLDER,
                env={**_environment(keep), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise _refused(module, error) from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._requests, self._results = self._process.stdin, self._process.stdout
        self._poll = select.poll()
        self._poll.register(self._results, select.POLLIN)
        self._lines: deque[bytes] = deque()
        self._begun: list[bytes] = []
        """Pieces of an incomplete line."""
        try:
            self._wait_until_ready(module)
        except BaseException:
            self.close()
            raise
        finally:
            self._process.stderr.close()

    def alive(self) -> bool:
        """Return whether it runs."""
        return self._process.poll() is None

    def send(self, request: dict[str, Any], cpu: float) -> None:
        """Send a request.

        Args:
            request: the request as JSON.
            cpu: maximum processor time in seconds; ``ended_by_cpu_limit`` says whether it was exceeded.

        Raises:
            OSError: if the process has ended.
        """
        self._requests.write(json.dumps({**request, "cpu": cpu}).encode() + b"\n")
        self._requests.flush()

    def receive(self, silence: float) -> bytes:
        """Return the next line of its results, or nothing if it has ended.

        Only the time in which this waits counts, not the time between two calls.

        Args:
            silence: maximum seconds without output and without processor use.

        Raises:
            TimeoutError: if it was silent for longer.
        """
        quiet, before = 0.0, -1
        while not self._lines:
            if self._poll.poll(_SLICE * 1000):
                # After its last byte a pipe reads as empty.
                piece = os.read(self._results.fileno(), 2**20)
                if not piece:
                    return b""
                *ended, rest = piece.split(b"\n")
                for end in ended:
                    self._lines.append(b"".join((*self._begun, end)))
                    self._begun = []
                if rest:
                    self._begun.append(rest)
                quiet = 0.0
                continue
            # A process that waits for its turn on a busy machine is not silent. A slice counts as one however long
            # it took: this process may have been suspended.
            now = cpu_ticks(self._process.pid)
            if now is None:
                quiet += _SLICE / _UNSEEN
            elif now == before:
                quiet += _SLICE
            else:
                before = now
            if quiet >= silence:
                raise TimeoutError
        return self._lines.popleft()

    def exit_code(self) -> int:
        """Wait until it has ended, and return its exit code: minus the signal's number if a signal ended it."""
        try:
            return self._process.wait(_STARTUP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def kill(self) -> None:
        """End the process; a ``receive`` that is waiting returns without a message."""
        self._process.kill()

    def close(self) -> None:
        """End the process, wait for its end, and close its pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._requests, self._results):
            # Requests that were not sent yet are dropped.
            with contextlib.suppress(OSError):
                pipe.close()

    def _wait_until_ready(self, module: str) -> None:
        try:
            if self.receive(_STARTUP):
                return
            reason = f"ended at its start with {describe_exit(self.exit_code())}"
        except TimeoutError:
            self._process.kill()
            reason = f"did not start within {_STARTUP:g} s"
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        told = (self._process.stderr.read() or b"").decode(errors="replace").strip().splitlines()
        raise ProcessStartError(
            f"The process {module} {reason}{f': {told[-1]}' if told else ''}.",
            f"Check that {sys.executable} starts, that the packages ragkit needs are installed and not only found in "
            "the working folder, and that memory and processes are not limited too tightly (ulimit -a).",
        )


def ended_by_cpu_limit(code: int) -> bool:
    """Return whether a child ended because it exceeded its processor time."""
    return code in (EXIT_CPU, -signal.SIGXCPU)


def describe_exit(code: int) -> str:
    """Return an exit code in words: ``exit code 1`` or ``signal SIGSEGV``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def search_path() -> list[str]:
    """Return the folders that a child imports from: this process's own, without the working folder.

    The working folder stays if it contains ragkit itself, as in a checkout that is not installed.
    """
    home = os.path.realpath(Path(__file__).parents[1])
    try:
        here = os.path.realpath(Path.cwd())
    except FileNotFoundError:
        here = ""
    found = [os.path.abspath(entry) if here or os.path.isabs(entry) else "" for entry in sys.path]  # noqa: PTH100, PTH117
    kept = [entry for entry in found if entry and (os.path.realpath(entry) != here or here == home)]
    if home not in map(os.path.realpath, kept):
        kept.append(home)
    return list(dict.fromkeys(kept))


def _command(module: str, arguments: Iterable[str]) -> list[str]:
    # These settings may come from variables that isolated mode ignores; paths are written in the same encoding.
    flags = ["-I", "-X", f"utf8={sys.flags.utf8_mode}", *(["-B"] if sys.dont_write_bytecode else [])]
    return [sys.executable, *flags, "-c", _START, json.dumps(search_path()), module, *arguments]


def _environment(keep: Iterable[str]) -> dict[str, str]:
    prefixes = (*_KEPT, *keep)
    # For the processes that a child starts itself.
    return {**{name: value for name, value in os.environ.items() if name.startswith(prefixes)}, "PYTHONSAFEPATH": "1"}


def _refused(module: str, error: OSError) -> ProcessStartError:
    return ProcessStartError(
        f"The process {module} can't be started: {error.strerror or error}.",
        f"Check that {sys.executable} is a Python interpreter, and the limits on memory and processes (ulimit -a).",
    )
