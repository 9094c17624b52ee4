"""Converts a LoRA adapter from torch to GGUF, for llama.cpp."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import MissingExtraError, ModelError

_KEY = re.compile(r"^(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<half>[AB])(?:\.\w+)?\.weight$")
_ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma3_text": "gemma3",
}
"""llama.cpp architecture of each ``model_type`` of a Hugging Face configuration."""
_PERMUTED = ("llama",)
"""Architectures whose query and key rows have another order in llama.cpp than in torch."""


def write_gguf_lora(path: Path, tensors: Mapping[str, NDArray[np.floating[Any]]], alpha: float, config: Any) -> None:
    """Write an adapter for llama.cpp, atomically.

    Args:
        path: output file.
        tensors: weights by peft name: ``….q_proj.lora_A.weight`` ``[rank, in]`` and ``….lora_B.weight`` ``[out,
            rank]``.
        alpha: LoRA alpha; the adapter is scaled by ``alpha / rank``.
        config: transformers configuration of the model.

    Raises:
        MissingExtraError: if gguf is not installed.
        ModelError: if llama.cpp does not support the architecture or a layer.
    """
    try:
        import gguf
    except ImportError as error:
        raise MissingExtraError("gguf", "tune", "to write an adapter for llama.cpp") from error
    architecture = _ARCHITECTURES.get(config.model_type)
    if architecture is None:
        raise ModelError(
            f"Adapters of {config.model_type!r} models can't be converted for llama.cpp.",
            f"Supported: {', '.join(_ARCHITECTURES)}.",
        )
    known = next(number for number, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    names = gguf.get_tensor_name_map(known, config.num_hidden_layers)
    scratch = path.with_name(path.name + ".part")
    writer = gguf.GGUFWriter(scratch, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for key in sorted(tensors):
        found = _KEY.match(key)
        name = names.get_name(found["module"]) if found else None
        if found is None or name is None:
            raise ModelError(f"llama.cpp does not support an adapter of {key}.", "Fine-tune linear layers only.")
        values = np.ascontiguousarray(tensors[key], dtype=np.float32)
        if found["half"] == "B" and architecture in _PERMUTED:
            values = _permuted(found["module"], values, config)
        writer.add_tensor(f"{name}.weight.lora_{found['half'].lower()}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with scratch.open("rb") as file:
        os.fsync(file.fileno())
    scratch.replace(path)


def _permuted(module: str, rows: NDArray[np.float32], config: Any) -> NDArray[np.float32]:
    """Return the rows of matrix B of a query or key in llama.cpp's order, others unchanged.

    Rotary embeddings rotate the first half of a head with the second half in torch, and even rows with odd ones in
    llama.cpp.
    """
    if module.endswith(".q_proj"):
        heads = config.num_attention_heads
    elif module.endswith(".k_proj"):
        heads = config.num_key_value_heads
    else:
        return rows
    half = rows.shape[0] // heads // 2
    return np.ascontiguousarray(rows.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(rows.shape))
