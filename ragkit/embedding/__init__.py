"""Texts to unit vectors: ONNX int8 on a CPU, sentence-transformers on a GPU and as the reference everywhere.

``open_embedder()`` picks the runtime; both give the same contract (``Embedder``) and token vectors for late
interaction (``TokenEmbedder``).
"""

from ragkit._machine import cache_folder
from ragkit.embedding.base import Embedder, TextKind, TokenEmbedder, Vectors
from ragkit.embedding.model_files import ModelFiles, locate
from ragkit.embedding.opening import open_embedder, runtime_report, set_default_runtime

__all__ = [
    "Embedder",
    "ModelFiles",
    "TextKind",
    "TokenEmbedder",
    "Vectors",
    "cache_folder",
    "locate",
    "open_embedder",
    "runtime_report",
    "set_default_runtime",
]
