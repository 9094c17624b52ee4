"""The embedder protocol: one method, and the properties that an index needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ragkit.chunking.tokenizer import Tokenizer

Vectors = NDArray[np.float32]
TextKind = Literal["query", "document"]


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    model_id: str
    """Names the weights, not the runtime: ``all-MiniLM-L6-v2@53aa51172d14``. An index has one model_id."""
    runtime: str
    """Name of the runtime, such as ``onnx-int8`` or ``sentence-transformers (cuda)``."""
    window: int
    """Tokens that the model reads, specials included; nothing past it may ever be passed in."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's own tokenizer."""
        ...

    def embed(self, texts: Sequence[str], kind: TextKind = "document") -> Vectors:
        """Return one unit vector a text, in the order of ``texts``: float32 ``[n, dimension]``."""
        ...


@runtime_checkable
class TokenEmbedder(Protocol):
    """An embedder that also gives a vector a token, for late interaction (ColBERT, arXiv:2004.12832)."""

    def embed_tokens(self, texts: Sequence[str], kind: TextKind = "document") -> list[Vectors]:
        """Return unit vectors of each text's tokens: float32 ``[tokens, dimension]``, specials left out."""
        ...
