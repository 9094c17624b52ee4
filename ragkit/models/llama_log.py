"""llama.cpp's log: off stderr, with what went wrong kept for error messages."""

from __future__ import annotations

import ctypes
from collections import deque
from functools import cache
from typing import Any

_ERROR_LEVEL = 4


class LlamaLog:
    """Keeps llama.cpp from writing hundreds of lines to stderr, and keeps its last complaints for error messages."""

    def __init__(self, library: Any) -> None:
        self._lines: deque[str] = deque(maxlen=3)

        def take(level: int, text: bytes, data: Any) -> None:
            if level == _ERROR_LEVEL:
                self._lines.append(" ".join(text.decode("utf-8", "replace").split()))

        # llama.cpp keeps the callback for as long as it is loaded, so it is kept here too.
        self._callback = library.llama_log_callback(take)
        library.llama_log_set(self._callback, ctypes.c_void_p(0))
        library.llama_backend_init()

    def clear(self) -> None:
        """Forget what was said before."""
        self._lines.clear()

    def told(self) -> str:
        """Return the first complaint since ``clear``, as an end of a sentence, or nothing."""
        return f" (llama.cpp: {self._lines[0]})" if self._lines else ""


log_of = cache(LlamaLog)
"""One log for the library, as llama.cpp has it."""
