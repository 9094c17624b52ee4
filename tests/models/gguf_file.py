"""Writes a small LoRA adapter in GGUF form, as the format's description has it (version 3)."""

import struct

import numpy as np


def write_adapter(path, layers, width, scale, seed=0):
    """A rank-4 adapter of the query projections; with ``scale`` 0 it changes nothing."""
    random = np.random.default_rng(seed)
    tensors = []
    for layer in range(layers):
        name = f"blk.{layer}.attn_q.weight"
        tensors.append((f"{name}.lora_a", random.normal(size=(4, width)).astype("<f4")))
        tensors.append((f"{name}.lora_b", (scale * random.normal(size=(width, 4))).astype("<f4")))
    texts = {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora"}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(texts) + 1)
    for key, value in texts.items():
        head += _text(key) + struct.pack("<I", 8) + _text(value)
    head += _text("adapter.lora.alpha") + struct.pack("<If", 6, 4.0)
    at = 0
    for name, values in tensors:
        rows, columns = values.shape
        head += _text(name) + struct.pack("<IQQIQ", 2, columns, rows, 0, at)
        at += -(-values.nbytes // 32) * 32
    path.write_bytes(_padded(head) + b"".join(_padded(values.tobytes()) for _, values in tensors))
    return path


def _text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def _padded(data):
    return data + bytes(-len(data) % 32)
