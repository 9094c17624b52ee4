"""A model's own tokenizer (Hugging Face ``tokenizers``), without truncation or padding."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Encoding

_LONE = re.compile("[\ud800-\udfff]")
"""Halves of surrogate pairs, which Python's text can hold and the tokenizer can't take."""


def without_lone_surrogates(text: str) -> str:
    """Return ``text`` with each of them replaced by one other character, so that offsets hold."""
    return _LONE.sub("\N{REPLACEMENT CHARACTER}", text)


class FastTokenizer:
    """Counts and places a model's tokens.

    Args:
        file: the model's ``tokenizer.json``.
    """

    def __init__(self, file: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.splits_on_whitespace = type(self._tokenizer.pre_tokenizer).__name__ == "BertPreTokenizer"
        self.specials: int = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        mask = self._tokenizer.encode("a").special_tokens_mask
        before = mask.index(0) if 0 in mask else 0
        self.inner = slice(before, before - self.specials or None)
        """Slice of a text's tokens between the special tokens."""

    def offsets(self, text: str) -> NDArray[np.int64]:
        """Return the character span of each token: int64 ``[tokens, 2]``, specials left out."""
        spans = self._encode(text, add_special_tokens=False).offsets
        return np.fromiter(chain.from_iterable(spans), dtype=np.int64, count=2 * len(spans)).reshape(-1, 2)

    def count(self, text: str) -> int:
        """Return the number of tokens of ``text``, specials left out."""
        return len(self._encode(text, add_special_tokens=False))

    def ids(self, text: str) -> list[int]:
        """Return the token ids of ``text`` as the model reads them, specials included."""
        ids: list[int] = self._encode(text).ids
        return ids

    def _encode(self, text: str, *, add_special_tokens: bool = True) -> Encoding:
        return self._tokenizer.encode(without_lone_surrogates(text), add_special_tokens=add_special_tokens)
