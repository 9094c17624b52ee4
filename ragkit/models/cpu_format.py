"""Copies of small models in a format that a CPU evaluates faster.

llama.cpp multiplies matrices in Q4_1 and Q5_1 row by row on a CPU, while it has blocked kernels for Q8_0. A prompt of
512 tokens is evaluated 1.9 times as fast from a Q8_0 copy of SmolLM2-135M (see docs/benchmarks.md), and tokens are
generated as fast as before. Q8_0 keeps the weights of the file to less than 0.4 % of the largest of a block. A larger
model would generate more slowly, since generating is bound by the memory that it reads, so it is used as it is.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import logging
import os
from pathlib import Path

from ragkit._files import sync
from ragkit._machine import cache_folder, cores
from ragkit.models.gguf_header import file_type

_SLOW = {3: "Q4_1", 9: "Q5_1"}
"""Values of ``general.file_type`` without fast kernels. Source: ``llama_ftype`` in llama.cpp's llama.h."""
_MAX_BYTES = 400_000_000
_log = logging.getLogger("ragkit.models")


def cpu_file(path: Path) -> Path:
    """Return the file to load on a CPU: a copy in ragkit's cache, made at the first use, or the file itself.

    The copy takes up to 1.6 times the bytes of the file. Where it can't be made, the file itself is returned.

    Args:
        path: path of a GGUF file.
    """
    try:
        stat = path.stat()
        if stat.st_size > _MAX_BYTES or file_type(path) not in _SLOW:
            return path
        identity = f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}"
        name = f"{path.stem}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}-Q8_0.gguf"
        copy = cache_folder() / "cpu" / name
        if not copy.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            with (copy.parent / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not copy.is_file():
                    _convert(path, copy)
        return copy
    except OSError as error:
        _log.info("%s is used as it is, since its faster copy can't be written: %s", path, error)
        return path


def _convert(path: Path, copy: Path) -> None:
    """Write the copy, which appears only when it is complete.

    Raises:
        OSError: if it can't be written.
    """
    from llama_cpp import llama_cpp as library

    from ragkit.models.llama_log import log_of

    log = log_of(library)
    log.clear()
    options = library.llama_model_quantize_default_params()
    options.ftype = library.LLAMA_FTYPE_MOSTLY_Q8_0
    options.allow_requantize = True
    options.nthread = cores()
    scratch = copy.with_suffix(f".{os.getpid()}.new")
    try:
        if library.llama_model_quantize(os.fsencode(path), os.fsencode(scratch), ctypes.byref(options)):
            raise OSError(f"llama.cpp can't convert it{log.first_error()}")
        sync(scratch)
        scratch.replace(copy)
    finally:
        scratch.unlink(missing_ok=True)
