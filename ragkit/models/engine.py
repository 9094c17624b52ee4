"""A GGUF model in memory, over llama.cpp's own functions: tokens in, logits out, what was evaluated kept.

The last prompt's key-value cache stays; a new prompt evaluates only what differs from it. Continuations are scored side
by side as sequences of one batch, shared beginnings once.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import MissingExtraError, ModelError, ModelFileError

Logits = NDArray[np.float32]

_SEQUENCES = 64
"""Sequences of one batch, the prompt's own included."""
_BATCH = 512


@cache
def _quiet(library: Any) -> Any:
    """Make llama.cpp say nothing: it logs hundreds of lines for each model, and its errors come back as codes.

    llama.cpp keeps the callback for as long as it is loaded, so it is kept here too.
    """

    def say_nothing(level: int, text: bytes, data: Any) -> None:
        """Take a line and drop it."""

    callback = library.llama_log_callback(say_nothing)
    library.llama_log_set(callback, ctypes.c_void_p(0))
    library.llama_backend_init()
    return callback


class Engine:
    """One model with one context; not safe to share between threads without a lock.

    Args:
        path: of the GGUF file.
        window: tokens of context; 0 for what the model was trained on, at most 8,192.
        threads: 0 for all cores.
        gpu_layers: layers on the GPU, -1 for all, where llama-cpp-python was built for one.
        lora: a LoRA adapter in GGUF form.

    Raises:
        MissingExtraError: if llama-cpp-python is not installed.
        ModelFileError: if the file is no model that llama.cpp reads.
    """

    def __init__(
        self, path: Path, *, window: int = 0, threads: int = 0, gpu_layers: int = 0, lora: Path | None = None
    ) -> None:
        try:
            from llama_cpp import llama_cpp as library
        except ImportError as error:
            raise MissingExtraError("llama-cpp-python", "local", "to run local models") from error
        self._library = library
        _quiet(library)
        settings = library.llama_model_default_params()
        settings.n_gpu_layers = 999 if gpu_layers < 0 else gpu_layers
        self._model = library.llama_model_load_from_file(str(path).encode(), settings)
        if not self._model:
            raise ModelFileError(
                f"{path} can't be loaded as a model: it is cut short, damaged, or of a kind this build does not know.",
                "Get it anew (ragkit models pull NAME), or name another file.",
            )
        self.trained_window: int = library.llama_model_n_ctx_train(self._model)
        self.window = window or min(self.trained_window, 8192)
        cores = threads or len(os.sched_getaffinity(0))
        context = library.llama_context_default_params()
        context.n_ctx = self.window
        context.n_batch = _BATCH
        context.n_ubatch = _BATCH
        context.n_seq_max = _SEQUENCES
        context.n_threads = cores
        context.n_threads_batch = cores
        context.kv_unified = True
        # Sliding-window models keep all cells, so that any prefix can be taken up again.
        context.swa_full = True
        self._context = library.llama_init_from_model(self._model, context)
        if not self._context:
            self.close()
            raise ModelError(
                f"A context of {self.window} tokens for {path.name} can't be made.", "Ask for a smaller window."
            )
        self._vocabulary = library.llama_model_get_vocab(self._model)
        self._memory = library.llama_get_memory(self._context)
        self.vocabulary_size: int = library.llama_vocab_n_tokens(self._vocabulary)
        self.adds_start: bool = bool(library.llama_vocab_get_add_bos(self._vocabulary))
        self.start: int = library.llama_vocab_bos(self._vocabulary)
        self.end: int = library.llama_vocab_eos(self._vocabulary)
        self._batch = library.llama_batch_init(_BATCH, 0, _SEQUENCES)
        self._kept: list[int] = []
        self._last: Logits | None = None
        if lora is not None:
            self._apply(lora)

    def close(self) -> None:
        """Free the model; the engine can't be used afterwards."""
        if getattr(self, "_context", None):
            self._library.llama_free(self._context)
            self._library.llama_batch_free(self._batch)
            self._context = None
        if getattr(self, "_model", None):
            self._library.llama_model_free(self._model)
            self._model = None

    def __del__(self) -> None:
        self.close()

    def metadata(self, name: str) -> str | None:
        """Return a value of the file's metadata, such as ``tokenizer.chat_template``."""
        size = 2**17
        buffer = ctypes.create_string_buffer(size)
        length = self._library.llama_model_meta_val_str(self._model, name.encode(), buffer, size)
        return buffer.value.decode("utf-8", "replace") if length >= 0 else None

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Return the tokens of a text.

        Args:
            text: any.
            special: read the names of control tokens as these tokens; never for text from outside.
        """
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        tokens = (self._library.llama_token * room)()
        count = self._library.llama_tokenize(self._vocabulary, data, len(data), tokens, room, False, special)
        if count < 0:
            raise ModelError(f"A text of {len(data)} bytes can't be tokenised.", "Leave out what is no text.")
        return list(tokens[:count])

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token; control tokens have none."""
        buffer = ctypes.create_string_buffer(256)
        length = self._library.llama_token_to_piece(self._vocabulary, token, buffer, 256, 0, False)
        return buffer.raw[:length] if length > 0 else b""

    def ends(self, token: int) -> bool:
        """Tell whether a token ends the reply."""
        return bool(self._library.llama_vocab_is_eog(self._vocabulary, token))

    def evaluate(self, tokens: Sequence[int]) -> tuple[Logits, int]:
        """Evaluate a prompt.

        Args:
            tokens: at least one and fewer than the window.

        Returns:
            The logits after the last token, float32 ``[vocabulary]``, and how many tokens were taken from the last
            prompt.
        """
        shared = 0
        for old, new in zip(self._kept, tokens, strict=False):
            if old != new:
                break
            shared += 1
        if shared == len(tokens) == len(self._kept) and self._last is not None:
            return self._last, shared
        shared = min(shared, len(tokens) - 1)
        self._library.llama_memory_seq_rm(self._memory, 0, shared, -1)
        del self._kept[shared:]
        logits = None
        for first in range(shared, len(tokens), _BATCH):
            part = tokens[first : first + _BATCH]
            final = first + len(part) == len(tokens)
            rows = [(token, first + n, (0,), final and n == len(part) - 1) for n, token in enumerate(part)]
            logits = self._decode(rows)
            self._kept += part
        assert logits is not None
        self._last = logits[-1]
        return self._last, shared

    def extend(self, token: int) -> Logits:
        """Evaluate one more token after what was evaluated last, and return the logits after it."""
        self._last = self._decode([(token, len(self._kept), (0,), True)])[-1]
        self._kept.append(token)
        return self._last

    def score(self, continuations: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return the log-probability (natural) of each token of each continuation of what was evaluated last.

        What continuations share with each other is evaluated once. The context is as before afterwards.
        """
        assert self._last is not None
        results: list[list[float]] = [[] for _ in continuations]
        first = log_softmax(self._last)
        position = len(self._kept)
        group: list[int] = []
        nodes: set[tuple[int, ...]] = set()
        order = sorted(range(len(continuations)), key=lambda number: list(continuations[number]))
        for number in order:
            tokens = tuple(continuations[number])
            new = {tokens[:length] for length in range(1, len(tokens))} - nodes
            if group and (len(group) >= _SEQUENCES - 1 or len(nodes) + len(new) > _BATCH):
                self._score_group(group, continuations, first, position, results)
                group, nodes = [], set()
                new = {tokens[:length] for length in range(1, len(tokens))}
            group.append(number)
            nodes |= new
        if group:
            self._score_group(group, continuations, first, position, results)
        return results

    def _score_group(
        self,
        group: list[int],
        continuations: Sequence[Sequence[int]],
        first: Logits,
        position: int,
        results: list[list[float]],
    ) -> None:
        """Score continuations as sequences 1, 2, … of one batch."""
        owners: dict[tuple[int, ...], list[int]] = {}
        for sequence, number in enumerate(group, 1):
            tokens = tuple(continuations[number])
            for length in range(1, len(tokens)):
                owners.setdefault(tokens[:length], []).append(sequence)
        after: dict[tuple[int, ...], Logits] = {}
        if owners:
            for sequence in range(1, len(group) + 1):
                self._library.llama_memory_seq_cp(self._memory, 0, sequence, -1, -1)
            # Parents come before their children, as the batch's positions need.
            paths = sorted(owners, key=lambda path: (len(path), path))
            try:
                rows = [(path[-1], position + len(path) - 1, tuple(owners[path]), True) for path in paths]
                after = {path: log_softmax(row) for path, row in zip(paths, self._decode(rows), strict=True)}
            finally:
                for sequence in range(1, len(group) + 1):
                    self._library.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        for number in group:
            tokens = tuple(continuations[number])
            results[number] = [
                float((first if length == 0 else after[tokens[:length]])[token]) for length, token in enumerate(tokens)
            ]

    def grammar(self, text: str) -> Any:
        """Return a sampler that holds output to a grammar in llama.cpp's GBNF; free it with ``free_grammar``.

        Raises:
            ModelError: if the grammar can't be read.
        """
        sampler = self._library.llama_sampler_init_grammar(self._vocabulary, text.encode(), b"root")
        if not sampler:
            raise ModelError("The JSON schema gives a grammar that llama.cpp can't read.", "Simplify the schema.")
        return sampler

    def mask(self, grammar: Any, logits: Logits) -> Logits:
        """Return the logits with every token that the grammar forbids at minus infinity."""
        library = self._library
        size = self.vocabulary_size
        data = np.zeros(size, dtype=np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)]))
        data["id"] = np.arange(size, dtype=np.int32)
        data["logit"] = logits
        pointer = data.ctypes.data_as(ctypes.POINTER(library.llama_token_data))
        candidates = library.llama_token_data_array(pointer, size, -1, False)
        library.llama_sampler_apply(grammar, ctypes.byref(candidates))
        masked = np.full(size, -np.inf, dtype=np.float32)
        kept = data[: candidates.size]
        masked[kept["id"]] = kept["logit"]
        return masked

    def accept(self, grammar: Any, token: int) -> None:
        """Move a grammar past a token."""
        self._library.llama_sampler_accept(grammar, token)

    def free_grammar(self, grammar: Any) -> None:
        """Free what ``grammar`` made."""
        self._library.llama_sampler_free(grammar)

    def _decode(self, rows: Sequence[tuple[int, int, tuple[int, ...], bool]]) -> Logits:
        """Evaluate rows of (token, position, sequences, wants logits); return the wanted logits ``[n, vocabulary]``."""
        batch = self._batch
        batch.n_tokens = len(rows)
        wanted = []
        for number, (token, position, sequences, wants) in enumerate(rows):
            batch.token[number] = token
            batch.pos[number] = position
            batch.n_seq_id[number] = len(sequences)
            for slot, sequence in enumerate(sequences):
                batch.seq_id[number][slot] = sequence
            batch.logits[number] = wants
            if wants:
                wanted.append(number)
        code = self._library.llama_decode(self._context, batch)
        if code != 0:
            self._kept.clear()
            self._last = None
            self._library.llama_memory_clear(self._memory, True)
            raise ModelError(f"llama.cpp could not evaluate {len(rows)} tokens (code {code}).", "Use a smaller prompt.")
        size = self.vocabulary_size
        logits = np.empty((len(wanted), size), dtype=np.float32)
        for row, number in enumerate(wanted):
            pointer = self._library.llama_get_logits_ith(self._context, number)
            logits[row] = np.ctypeslib.as_array(pointer, shape=(size,))
        return logits

    def _apply(self, lora: Path) -> None:
        adapter = self._library.llama_adapter_lora_init(self._model, str(lora).encode()) if lora.is_file() else None
        if not adapter:
            raise ModelFileError(
                f"{lora} can't be loaded as a LoRA adapter for this model.",
                "Name an adapter in GGUF form, made for it.",
            )
        adapters = (self._library.llama_adapter_lora_p_ctypes * 1)(adapter)
        scales = (ctypes.c_float * 1)(1.0)
        if self._library.llama_set_adapters_lora(self._context, adapters, 1, scales) != 0:
            raise ModelFileError(f"{lora} does not fit this model.", "Name an adapter that was trained on it.")


def log_softmax(logits: Logits) -> Logits:
    """Return log-probabilities of logits, float32 of the same shape."""
    top = logits.max()
    normalised: Logits = logits - (top + np.log(np.exp(logits - top).sum()))
    return normalised
