"""Reads the header of a GGUF file: number of parameters, purpose, format. The model itself is not loaded.

The header lists metadata and then each tensor with its shape. Format: https://github.com/ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ragkit.errors import ModelFileError, ModelNotFoundError

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a metadata value, by the number of its type."""
_STRING, _ARRAY = 8, 9
_MAX_DIMENSIONS = 4


def check_gguf(path: Path) -> None:
    """Check that a file exists and has the header of a GGUF file.

    Raises:
        ModelNotFoundError: if it does not exist.
        ModelFileError: if it is not a GGUF file.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise ModelNotFoundError(
            f"The model file {path} can't be read: {error.strerror}.", "List installed models: ragkit models list"
        ) from error
    if head != b"GGUF":
        raise ModelFileError(
            f"{path} is not a GGUF file: it starts with {head!r}.", "Convert the model to GGUF, or download it again."
        )


def parameter_count(path: Path) -> int:
    """Return the number of parameters of a model file; for a model in several files, those of this file.

    Args:
        path: path of a GGUF file of version 2 or later.

    Raises:
        ModelNotFoundError: if there is no such file.
        ModelFileError: if it is not a GGUF file, or its header is truncated or damaged.
    """
    check_gguf(path)
    try:
        with path.open("rb") as file:
            file.seek(8)
            tensors, values = struct.unpack("<QQ", file.read(16))
            for _ in range(values):
                _skip_string(file)
                _skip_value(file, _unsigned(file))
            return sum(_elements(file) for _ in range(tensors))
    except (struct.error, KeyError, OSError, OverflowError, ValueError) as error:
        raise ModelFileError(f"The header of {path} is damaged: {error}.", "Download the model again.") from error


def is_embedding_model(path: Path) -> bool:
    """Return whether a model file contains a model that embeds or ranks texts, and does not generate any.

    A file that can't be read counts as one that generates: opening it reports the problem.
    """
    for key, value in _properties(path):
        if key == "general.architecture" and isinstance(value, str):
            if "bert" in value or value == "t5encoder":
                return True
        elif key.endswith(".pooling_type") and isinstance(value, int):
            return value > 0
    return False


def file_type(path: Path) -> int | None:
    """Return the ``general.file_type`` of a model file, the format of most weights; None if it has none."""
    # llama.cpp's own converter writes it behind the vocabulary.
    for key, value in _properties(path, vocabulary=True):
        if key == "general.file_type" and isinstance(value, int):
            return value
    return None


def _properties(path: Path, *, vocabulary: bool = False) -> Iterator[tuple[str, str | int]]:
    """Yield texts and numbers, those behind the vocabulary, which is long, on demand; a damaged header ends them."""
    try:
        with path.open("rb") as file:
            file.seek(16)
            for _ in range(_length(file)):
                key = file.read(_length(file)).decode("utf-8", "replace")
                kind = _unsigned(file)
                if key.startswith("tokenizer.") and not vocabulary:
                    return
                if kind == _STRING:
                    yield key, file.read(_length(file)).decode("utf-8", "replace")
                elif kind in _SIZES:
                    yield key, int.from_bytes(file.read(_SIZES[kind]), "little")
                else:
                    _skip_value(file, kind)
    except (struct.error, KeyError, OSError, OverflowError, ValueError):
        return


def _unsigned(file: BinaryIO) -> int:
    return int(struct.unpack("<I", file.read(4))[0])


def _length(file: BinaryIO) -> int:
    return int(struct.unpack("<Q", file.read(8))[0])


def _skip_string(file: BinaryIO) -> None:
    file.seek(_length(file), 1)


def _skip_value(file: BinaryIO, kind: int) -> None:
    if kind == _STRING:
        _skip_string(file)
    elif kind == _ARRAY:
        inner, count = _unsigned(file), _length(file)
        if inner in _SIZES:
            file.seek(_SIZES[inner] * count, 1)
        elif inner == _STRING:
            for _ in range(count):
                _skip_string(file)
        else:
            raise ValueError(f"an array of type {inner}")
    else:
        file.seek(_SIZES[kind], 1)


def _elements(file: BinaryIO) -> int:
    """Return the number of elements of the tensor that is described next."""
    _skip_string(file)
    dimensions = _unsigned(file)
    if dimensions > _MAX_DIMENSIONS:
        raise ValueError(f"a tensor of {dimensions} dimensions")
    shape = struct.unpack(f"<{dimensions}Q", file.read(8 * dimensions))
    file.seek(12, 1)  # Its type and the offset of its data.
    return math.prod(shape)
