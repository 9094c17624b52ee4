"""The number of parameters of a GGUF file and its purpose, read from its header: the file itself is not loaded.

The header lists metadata and then each tensor with its shape. Format: https://github.com/ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO

from ragkit.errors import ModelFileError
from ragkit.models.llama_cpp import check_gguf

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a metadata value, by the number of its type."""
_STRING, _ARRAY = 8, 9
_MAX_DIMENSIONS = 4


def parameter_count(path: Path) -> int:
    """Return the number of parameters of a model file; of a model in several files, those of this one.

    Args:
        path: of a GGUF file of version 2 or later.

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
    """Return whether a model file holds a model that embeds or ranks texts, and does not generate any.

    A file that can't be read counts as one that generates: opening it says what is wrong.
    """
    try:
        with path.open("rb") as file:
            file.seek(16)
            for _ in range(_length(file)):
                key = file.read(_length(file)).decode("utf-8", "replace")
                kind = _unsigned(file)
                if key.startswith("tokenizer."):
                    # The vocabulary, which is long, follows the properties of the model.
                    return False
                if key == "general.architecture" and kind == _STRING:
                    architecture = file.read(_length(file)).decode("utf-8", "replace")
                    if "bert" in architecture or architecture == "t5encoder":
                        return True
                elif key.endswith(".pooling_type") and kind in _SIZES:
                    return int.from_bytes(file.read(_SIZES[kind]), "little") > 0
                else:
                    _skip_value(file, kind)
    except (struct.error, KeyError, OSError, OverflowError, ValueError):
        pass
    return False


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
