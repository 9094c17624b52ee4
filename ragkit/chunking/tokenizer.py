"""The tokenizer interface of the chunker."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Tokenizer(Protocol):
    """The tokenizer of an embedding model."""

    specials: int
    """Tokens that the model adds around a text, such as [CLS] and [SEP]."""

    def offsets(self, text: str) -> NDArray[np.int64]:
        """Return the character span of each token of ``text``, specials left out: int64 ``[tokens, 2]``."""
        ...

    splits_on_whitespace: bool
    """True if the tokens of two words are the same apart as together, so that counts add up at a space."""

    def count(self, text: str) -> int:
        """Return the number of tokens of ``text``, specials left out."""
        ...
