"""Captures llama.cpp's log, and keeps its errors for error messages."""

from __future__ import annotations

import ctypes
from collections import deque
from functools import cache
from typing import Any

_ERROR_LEVEL = 4


class LlamaLog:
    """Prevents llama.cpp from writing to stderr, and keeps its last errors for error messages."""

    def __init__(self, library: Any) -> None:
        self._lines: deque[str] = deque(maxlen=3)

        def take(level: int, text: bytes, data: Any) -> None:
            if level == _ERROR_LEVEL:
                self._lines.append(" ".join(text.decode("utf-8", "replace").split()))

        # llama.cpp uses the callback as long as it is loaded, so a reference is kept.
        self._callback = library.llama_log_callback(take)
        library.llama_log_set(self._callback, ctypes.c_void_p(0))
        library.llama_backend_init()

    def clear(self) -> None:
        """Discard earlier errors."""
        self._lines.clear()

    def first_error(self) -> str:
        """Return the first error since ``clear``, in parentheses, or an empty text."""
        return f" (llama.cpp: {self._lines[0]})" if self._lines else ""


log_of = cache(LlamaLog)
"""The log is global, as in llama.cpp."""
