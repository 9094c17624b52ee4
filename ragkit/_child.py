"""The code of a child process: it limits itself and answers requests. ``ragkit._process`` starts it.

The kernel enforces the limits if it can. If it can't (macOS has no effective memory limit), a thread monitors usage.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

EXIT_CPU = 101
"""Exit code of a process that exceeded its processor time on a system whose kernel does not end it."""
EXIT_MEMORY = 102
_BASE = 256 * 2**20
"""Address space that Python and the libraries take before they have read a byte."""
_LONGEST = 2.0**31


def serve(answer: Callable[[dict[str, Any]], Iterable[dict[str, Any]]]) -> None:
    """Answer requests until stdin ends: each request is a line of JSON on stdin, its results are lines on stdout.

    The memory that a request may take, in bytes, is the only argument of the command line; a request says in ``cpu``
    how many seconds of processor time it may take. The output of libraries is discarded, and keyboard interrupts
    are left to the parent process.
    """
    results = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    limits = Limits()
    limits.memory(int(sys.argv[1]))

    def send(message: dict[str, Any]) -> None:
        results.write(json.dumps(message).encode() + b"\n")
        results.flush()

    send({"kind": "ready"})
    # Until here whoever started it reads what went wrong.
    os.dup2(nowhere, 2)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        limits.cpu(request.pop("cpu"))
        for message in answer(request):
            send(message)


class Limits:
    """Resource limits of this process. It is ended when it exceeds its processor time."""

    def __init__(self) -> None:
        self._cpu = math.inf
        self._memory = math.inf
        self._watch: threading.Thread | None = None
        _limit("RLIMIT_CORE", 0, fixed=True)

    def memory(self, size: int) -> None:
        """Limit the memory to ``size`` bytes in addition to that of Python and its libraries."""
        if sys.platform == "darwin" or not _limit("RLIMIT_AS", size + _BASE, fixed=True):
            self._memory = _peak() + size
            self._start_watch()

    def cpu(self, seconds: float) -> None:
        """Limit the processor time to ``seconds`` from now; the kernel counts whole ones."""
        until = time.process_time() + seconds
        if not _limit("RLIMIT_CPU", math.ceil(min(until, _LONGEST)), fixed=False):
            self._cpu = until
            self._start_watch()

    def _start_watch(self) -> None:
        if self._watch is None:
            self._watch = threading.Thread(target=self._run, daemon=True)
            self._watch.start()

    def _run(self) -> None:
        while True:
            time.sleep(0.1)
            if time.process_time() > self._cpu:
                os._exit(EXIT_CPU)
            if _peak() > self._memory:
                os._exit(EXIT_MEMORY)


def _limit(name: str, value: int, *, fixed: bool) -> bool:
    """Set a kernel limit, permanently if ``fixed``, and return whether it is in effect."""
    kind = getattr(resource, name, None)
    if kind is None:
        return False
    try:
        most = resource.getrlimit(kind)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (value, value if fixed else most))
    except (ValueError, OSError):
        return False
    return True


def _peak() -> int:
    """Return the most memory that this process has had at once, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
