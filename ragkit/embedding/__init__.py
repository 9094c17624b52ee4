"""Texts to unit vectors: ONNX on a CPU, sentence-transformers on a GPU, or an endpoint.

``open_embedder()`` picks the runtime; all give the same contract (``Embedder``), and local ones token vectors for late
interaction (``TokenEmbedder``).
"""

from ragkit._machine import cache_folder
from ragkit.embedding.api import ApiEmbedder
from ragkit.embedding.base import Embedder, TextKind, TokenEmbedder, Vectors
from ragkit.embedding.model_files import ModelFiles, locate
from ragkit.embedding.opening import open_embedder, runtime_report, set_default_runtime

__all__ = [
    "ApiEmbedder",
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
