"""A context of a llama.cpp model: the key-value cache of its sequences, and their evaluation in batches."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import ModelError
from ragkit.models.grammar import Logits
from ragkit.models.llama_log import log_of

BATCH = 512
"""Maximum tokens of a batch."""
Row = tuple[int, int, tuple[int, ...], bool]
"""Token, position, sequences, and whether its logits are wanted."""


class Context:
    """A context of a model. Not thread-safe; several contexts of one model can be used side by side.

    Args:
        library: functions of llama_cpp.
        model: the loaded model.
        window: tokens of the cache, of all sequences together.
        sequences: maximum number of sequences.
        unified: whether all sequences share the cache, so that a common prefix is stored once. Otherwise each has an
            equal part, and attention reads only the sequence's own part.
        threads: number of threads.
        on_cpu: whether no layer runs on a GPU.
        computing: held during an evaluation. llama.cpp's threads wait actively for each other, so two contexts that
            evaluate at the same time on the same cores are much slower than one after the other.

    Raises:
        ModelError: if llama.cpp can't create it, mostly for lack of memory.
    """

    def __init__(
        self,
        library: Any,
        model: Any,
        *,
        window: int,
        sequences: int,
        unified: bool,
        threads: int,
        on_cpu: bool,
        computing: threading.Lock,
    ) -> None:
        settings = library.llama_context_default_params()
        settings.n_ctx = window
        settings.n_batch = settings.n_ubatch = BATCH
        settings.n_seq_max = sequences
        settings.n_threads = settings.n_threads_batch = threads
        settings.kv_unified = unified
        if on_cpu:
            # On a CPU, flash attention changes results by up to 0.7 nats with how a prompt is split into batches, which
            # changes greedy replies. Without it, results with a reused prefix are identical.
            settings.flash_attn_type = library.LLAMA_FLASH_ATTN_TYPE_DISABLED
        # Sliding-window models keep all cells, so that any prefix can be reused.
        settings.swa_full = True
        log = log_of(library)
        log.clear()
        self._pointer = library.llama_init_from_model(model, settings)
        if not self._pointer:
            raise ModelError(
                f"A context of {window} tokens can't be created{log.first_error()}.", "Use a smaller window."
            )
        self.library = library
        self._memory = library.llama_get_memory(self._pointer)
        self._batch = library.llama_batch_init(BATCH, 0, sequences)
        self._vocabulary_size: int = library.llama_vocab_n_tokens(library.llama_model_get_vocab(model))
        self._computing = computing
        self.sequence_window: int = library.llama_n_ctx_seq(self._pointer)
        """Maximum tokens of one sequence."""

    def free(self) -> None:
        """Free the memory. Idempotent."""
        if self._pointer:
            self.library.llama_free(self._pointer)
            self.library.llama_batch_free(self._batch)
            self._pointer = None

    def apply(self, adapter: Any) -> bool:
        """Apply a LoRA adapter; return whether it fits."""
        adapters = (self.library.llama_adapter_lora_p_ctypes * 1)(adapter)
        scales = (ctypes.c_float * 1)(1.0)
        return bool(self.library.llama_set_adapters_lora(self._pointer, adapters, 1, scales) == 0)

    def decode(self, rows: Iterable[Row]) -> None:
        """Evaluate at most ``BATCH`` rows; positions of each sequence ascend.

        Raises:
            ModelError: if it fails; the cache is empty then.
        """
        batch = self._batch
        count = 0
        for token, position, sequences, wants in rows:
            batch.token[count] = token
            batch.pos[count] = position
            batch.n_seq_id[count] = len(sequences)
            for slot, sequence in enumerate(sequences):
                batch.seq_id[count][slot] = sequence
            batch.logits[count] = wants
            count += 1
        batch.n_tokens = count
        with self._computing:
            code = self.library.llama_decode(self._pointer, batch)
        if code != 0:
            self.clear()
            raise ModelError(f"llama.cpp could not evaluate {count} tokens (code {code}).", "Use a shorter prompt.")

    def logits(self, number: int) -> Logits:
        """Return the logits of a row of the last evaluation, float32 ``[vocabulary]``, valid until the next one."""
        pointer = self.library.llama_get_logits_ith(self._pointer, number)
        return np.ctypeslib.as_array(pointer, shape=(self._vocabulary_size,))

    def copy(self, source: int, target: int) -> None:
        """Make a sequence a copy of another; for a unified cache."""
        self.library.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def keep(self, sequence: int, length: int) -> bool:
        """Keep only the first tokens of a sequence; return False if the model can't go back to an earlier position."""
        return bool(self.library.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def remove(self, sequence: int) -> None:
        """Remove a sequence."""
        self.library.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def clear(self) -> None:
        """Remove all sequences."""
        self.library.llama_memory_clear(self._memory, True)

    def state_size(self, sequence: int) -> int:
        """Return the bytes of the state of a sequence."""
        size: int = self.library.llama_state_seq_get_size(self._pointer, sequence)
        return size

    def save(self, sequence: int) -> NDArray[np.uint8]:
        """Return a copy of the state of a sequence; empty if llama.cpp can't copy it."""
        state = np.empty(self.state_size(sequence), dtype=np.uint8)
        written = self.library.llama_state_seq_get_data(self._pointer, _bytes(state), len(state), sequence)
        return state[:written]

    def load(self, sequence: int, state: NDArray[np.uint8]) -> bool:
        """Replace a sequence by a saved state; return False, with the sequence removed, if that fails."""
        if self.library.llama_state_seq_set_data(self._pointer, _bytes(state), len(state), sequence):
            return True
        self.remove(sequence)
        return False


def _bytes(state: NDArray[np.uint8]) -> Any:
    return state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
