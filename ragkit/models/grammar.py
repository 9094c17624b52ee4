"""Constrained generation with llama.cpp's grammars, and the grammar of a JSON schema."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import ModelError
from ragkit.models.uses import Uses

Logits = NDArray[np.float32]
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""Memory layout of llama.cpp's ``llama_token_data``."""


class Grammar:
    """State of a grammar: the allowed next tokens.

    Args:
        library: functions of llama_cpp.
        vocabulary: vocabulary of the model.
        text: the grammar in llama.cpp's GBNF.
        using: use counter of the model, whose vocabulary is read at each step.

    Raises:
        ModelError: if the grammar is invalid; in each method, if the model was closed.
    """

    def __init__(self, library: Any, vocabulary: Any, text: str, using: Uses) -> None:
        self._library = library
        self._using = using
        self._size: int = library.llama_vocab_n_tokens(vocabulary)
        self._sampler = library.llama_sampler_init_grammar(vocabulary, text.encode(), b"root")
        if not self._sampler:
            raise ModelError("llama.cpp does not support the grammar.", "Simplify the grammar or the JSON schema.")

    def mask(self, logits: Logits) -> Logits:
        """Return the logits ``[vocabulary]``, with minus infinity for tokens that are not allowed."""
        masked = np.full(self._size, -np.inf, dtype=np.float32)
        kept = self._apply(np.arange(self._size, dtype=np.int32), logits)
        masked[kept["id"]] = kept["logit"]
        return masked

    def allows(self, token: int) -> bool:
        """Return whether a token is allowed, without checking all others."""
        kept = self._apply(np.array([token], dtype=np.int32), np.zeros(1, dtype=np.float32))
        return len(kept) == 1 and bool(np.isfinite(kept["logit"][0]))

    def accept(self, token: int) -> None:
        """Advance past a token."""
        with self._using():
            self._library.llama_sampler_accept(self._sampler, token)

    def close(self) -> None:
        """Free the memory."""
        if self._sampler:
            self._library.llama_sampler_free(self._sampler)
            self._sampler = None

    def _apply(self, tokens: NDArray[np.int32], logits: Logits) -> NDArray[np.void]:
        data = np.zeros(len(tokens), dtype=_CANDIDATE)
        data["id"] = tokens
        data["logit"] = logits
        pointer = data.ctypes.data_as(ctypes.POINTER(self._library.llama_token_data))
        candidates = self._library.llama_token_data_array(pointer, len(tokens), -1, False)
        with self._using():
            self._library.llama_sampler_apply(self._sampler, ctypes.byref(candidates))
        kept: NDArray[np.void] = data[: candidates.size]
        return kept


def gbnf(schema: Mapping[str, Any]) -> str:
    """Return the grammar of a JSON schema.

    Raises:
        ModelError: if a grammar can't express the schema.
    """
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        text: str = json_schema_to_gbnf(json.dumps(dict(schema)))
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise ModelError(
            f"The JSON schema can't be converted to a grammar: {type(error).__name__}: {error}.", "Simplify the schema."
        ) from error
    return text
