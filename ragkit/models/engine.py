"""A GGUF model in memory, through llama.cpp's low-level functions: tokens in, logits out, with a prefix cache.

The key-value cache of the last prompt is kept; a new prompt evaluates only the tokens after the common prefix.
Continuations are scored in parallel as sequences of one batch, with shared prefixes evaluated once.
"""

from __future__ import annotations

import ctypes
import heapq
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from ragkit._machine import cores
from ragkit._stats import log_softmax
from ragkit.errors import MissingExtraError, ModelError, ModelFileError, ModelStoppedError, SettingsError
from ragkit.models.grammar import Grammar, Logits
from ragkit.models.llama_log import log_of
from ragkit.models.uses import Uses

_SEQUENCES = 64
"""Maximum sequences of a batch, including that of the prompt."""
_BATCH = 512
_STOPPABLE_BATCH = 128
"""Tokens of a prompt that a CPU evaluates between checks for cancellation: a few tenths of a second for a small model.
Smaller parts are inefficient on a busy machine. A GPU evaluates a complete batch faster."""
END = -1
"""Placeholder for any token that ends a reply."""
_AT_ONCE = 2
"""Prefixes that ``choose`` evaluates in parallel."""
_OUTPUT_CELLS = 2**24
"""Maximum number of logits of a scoring batch: 64 MiB, independent of the vocabulary size."""


P = ParamSpec("P")
R = TypeVar("R")


def _in_use(method: Callable[Concatenate[Engine, P], R]) -> Callable[Concatenate[Engine, P], R]:
    """Keep the model in memory while a method of ``Engine`` runs.

    Raises:
        ModelError: if the model was closed.
    """

    @wraps(method)
    def held(self: Engine, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._using():
            return method(self, *args, **kwargs)

    return held


class Engine:
    """A model with one context.

    Evaluating and scoring share the context, so callers need a lock between threads. Other methods can run
    concurrently. ``close`` can be called at any time: it waits for running calls, and later calls raise an error.

    Args:
        path: path of the GGUF file.
        window: context window in tokens; 0 for that of the training, at most 8,192.
        threads: number of threads; 0 for all cores.
        gpu_layers: number of layers on the GPU, -1 for all, if llama-cpp-python supports one.
        lora: LoRA adapter in GGUF format.

    Raises:
        MissingExtraError: if llama-cpp-python is not installed.
        ModelFileError: if llama.cpp can't load the file.
        ModelError: if there is not enough memory for the window.
        SettingsError: if ``window`` or ``threads`` is out of range.
    """

    def __init__(
        self, path: Path, *, window: int = 0, threads: int = 0, gpu_layers: int = 0, lora: Path | None = None
    ) -> None:
        try:
            from llama_cpp import llama_cpp as library
        except ImportError as error:
            raise MissingExtraError("llama-cpp-python", "local", "to run local models") from error
        if window < 0 or 0 < window < _SEQUENCES or threads < 0:
            raise SettingsError(
                f"window must be 0 or >= {_SEQUENCES}, and threads >= 0, got window={window} and threads={threads}.",
                "Use 0 for the defaults.",
            )
        self._library = library
        self._using = Uses()
        log = log_of(library)
        settings = library.llama_model_default_params()
        # The first C++ exception of a thread allocates memory, and the process aborts if that fails. A file that can't
        # exist triggers one now, before the model is loaded.
        library.llama_model_load_from_file(f"{path}/".encode(), settings)
        log.clear()
        settings.n_gpu_layers = 999 if gpu_layers < 0 else gpu_layers
        self._model = library.llama_model_load_from_file(str(path).encode(), settings)
        if not self._model:
            raise ModelFileError(
                f"{path} can't be loaded as a model: it is truncated, damaged, or not supported by this build"
                f"{log.first_error()}.",
                "Download it again (ragkit models pull NAME), or use another file.",
            )
        self.trained_window: int = library.llama_model_n_ctx_train(self._model)
        self.parameters: int = library.llama_model_n_params(self._model)
        self.window = window or min(self.trained_window, 8192)
        if self.window > self.trained_window:
            self.close()
            raise SettingsError(
                f"{path.name} supports a window of {self.trained_window:,} tokens, got {window:,}.",
                "Use a smaller window.",
            )
        context = library.llama_context_default_params()
        context.n_ctx = self.window
        context.n_batch = _BATCH
        context.n_ubatch = _BATCH
        context.n_seq_max = _SEQUENCES
        context.n_threads = context.n_threads_batch = threads or cores()
        context.kv_unified = True
        if gpu_layers == 0:
            # On a CPU, flash attention is not faster here, and its results depend on how a prompt is split into
            # batches:
            # by up to 0.7 nats, which changes greedy replies. Without it, results with a reused prefix are identical.
            context.flash_attn_type = library.LLAMA_FLASH_ATTN_TYPE_DISABLED
        # Sliding-window models keep all cells, so that any prefix can be reused.
        context.swa_full = True
        self._context = library.llama_init_from_model(self._model, context)
        if not self._context:
            self.close()
            raise ModelError(
                f"A context of {self.window} tokens for {path.name} can't be created{log.first_error()}.",
                "Use a smaller window.",
            )
        self._vocabulary = library.llama_model_get_vocab(self._model)
        self._memory = library.llama_get_memory(self._context)
        self.vocabulary_size: int = library.llama_vocab_n_tokens(self._vocabulary)
        self.adds_start: bool = bool(library.llama_vocab_get_add_bos(self._vocabulary))
        self.start: int = library.llama_vocab_bos(self._vocabulary)
        self.end: int = library.llama_vocab_eos(self._vocabulary)
        self._batch = library.llama_batch_init(_BATCH, 0, _SEQUENCES)
        self._scored_rows = max(16, min(_BATCH, _OUTPUT_CELLS // self.vocabulary_size))
        self._kept: list[int] = []
        self._last: Logits | None = None
        self._part = _STOPPABLE_BATCH if gpu_layers == 0 else _BATCH
        if lora is not None:
            self._apply(lora)

    def close(self) -> None:
        """Free the model once running calls have ended; later calls raise an error. A long evaluation is cancelled."""
        if hasattr(self, "_using"):
            self._using.close(self._free)

    def _free(self) -> None:
        if getattr(self, "_context", None):
            self._library.llama_free(self._context)
            self._library.llama_batch_free(self._batch)
            self._context = None
        if getattr(self, "_model", None):
            self._library.llama_model_free(self._model)
            self._model = None

    def __del__(self, _ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if not _ending():  # at exit, llama.cpp's functions may be gone, and the memory is freed anyway
            self.close()

    @_in_use
    def metadata(self, name: str) -> str | None:
        """Return a value of the file's metadata, such as ``tokenizer.chat_template``."""
        size = 2**17
        buffer = ctypes.create_string_buffer(size)
        length = self._library.llama_model_meta_val_str(self._model, name.encode(), buffer, size)
        return buffer.value.decode("utf-8", "replace") if length >= 0 else None

    @_in_use
    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Return the tokens of a text.

        Args:
            text: any text.
            special: whether to parse control tokens; never for untrusted text.
        """
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        tokens = (self._library.llama_token * room)()
        count = self._library.llama_tokenize(self._vocabulary, data, len(data), tokens, room, False, special)
        if count < 0:
            raise ModelError(f"A text of {len(data)} bytes can't be tokenised.", "Remove binary data.")
        return list(tokens[:count])

    @_in_use
    def name_of(self, token: int) -> str:
        """Return the text of a token in templates, including control tokens; empty if there is no such token."""
        if token < 0:
            return ""
        name: bytes = self._library.llama_vocab_get_text(self._vocabulary, token)
        return name.decode("utf-8", "replace")

    @_in_use
    def piece(self, token: int) -> bytes:
        """Return the bytes of a token; none for control tokens."""
        size = 256
        buffer = ctypes.create_string_buffer(size)
        length = self._library.llama_token_to_piece(self._vocabulary, token, buffer, size, 0, False)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = self._library.llama_token_to_piece(self._vocabulary, token, buffer, -length, 0, False)
        return buffer.raw[:length] if length > 0 else b""

    @cached_property
    def _endings(self) -> NDArray[np.int64]:
        return np.array([token for token in range(self.vocabulary_size) if self._ends(token)], dtype=np.int64)

    @_in_use
    def ends(self, token: int) -> bool:
        """Return whether a token ends the reply."""
        return self._ends(token)

    def _ends(self, token: int) -> bool:
        return bool(self._library.llama_vocab_is_eog(self._vocabulary, token))

    @_in_use
    def evaluate(self, tokens: list[int], stopped: Callable[[], bool] | None = None) -> tuple[Logits, int]:
        """Evaluate a prompt.

        Args:
            tokens: at least one token, and fewer than the window.
            stopped: called between the parts of a long prompt; evaluation is cancelled if it returns True.

        Returns:
            The logits after the last token, float32 ``[vocabulary]``, and the number of tokens reused from the last
            prompt.

        Raises:
            ModelStoppedError: if it was cancelled; evaluated tokens are kept.
        """
        kept = self._kept
        if kept == tokens[: len(kept)]:
            shared = len(kept)
        else:
            pairs = zip(kept, tokens, strict=False)
            shared = next((n for n, (old, new) in enumerate(pairs) if old != new), min(len(kept), len(tokens)))
        if shared == len(tokens) == len(kept) and self._last is not None:
            return self._last, shared
        shared = min(shared, len(tokens) - 1)
        if not self._library.llama_memory_seq_rm(self._memory, 0, shared, -1):
            # A recurrent model can't go back to an earlier position, so it is evaluated from the start.
            self._library.llama_memory_clear(self._memory, True)
            shared = 0
        del kept[shared:]
        part: list[int] = []
        size = _BATCH if stopped is None else self._part
        for first in range(shared, len(tokens), size):
            self._check_wanted(stopped)
            part = tokens[first : first + size]
            final = first + len(part) == len(tokens)
            self._decode([(token, first + n, (0,), final and n == len(part) - 1) for n, token in enumerate(part)])
            kept += part
        self._last = self._row(len(part) - 1).copy()
        return self._last, shared

    @_in_use
    def score(self, continuations: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return the natural log-probability of each token of each continuation of the last evaluated prompt.

        Shared prefixes are evaluated once, and the context is restored. Each continuation must fit the window. It can
        end with ``END``, for any token that ends a reply.
        """
        assert self._last is not None
        results: list[list[float]] = [[] for _ in continuations]
        first = log_softmax(self._last)
        for group in self._groups(continuations):
            self._check_wanted(None)
            known = self._score_group([tuple(continuations[number]) for number in group])
            for number in group:
                tokens = tuple(continuations[number])
                results[number] = [
                    known[tokens[: length + 1]] if length else float(first[token])
                    for length, token in enumerate(tokens)
                ]
        return results

    @_in_use
    def choose(
        self, replies: Sequence[Sequence[int]], biases: Sequence[float], stopped: Callable[[], bool] | None = None
    ) -> tuple[int, float]:
        """Return the most probable reply to the last evaluated prompt, and its natural log-probability.

        This is a best-first search in the tree of their tokens: a prefix is evaluated only if its upper bound exceeds
        the best complete reply so far. The result is exact, and most of the tree is never evaluated. The context is
        restored.

        Args:
            replies: tokens of each reply, at least one reply. None may be empty or a prefix of another; ``END`` at the
                end of each, for any token that ends a reply, ensures that.
            biases: values added to the log-probability of each reply.
            stopped: called between steps; the search is cancelled if it returns True.

        Raises:
            ModelStoppedError: if it was cancelled.
        """
        assert self._last is not None
        longest = max(map(len, replies))
        together = max(1, min(_AT_ONCE, (self.window - len(self._kept)) // longest))
        numbers: dict[tuple[int, ...], int] = {}
        followers: dict[tuple[int, ...], set[int]] = {}
        bias: dict[tuple[int, ...], float] = {}
        for number, reply in enumerate(map(tuple, replies)):
            if biases[number] > bias.get(reply, -np.inf):
                numbers[reply] = number
            for length in range(len(reply) + 1):
                bias[reply[:length]] = max(biases[number], bias.get(reply[:length], -np.inf))
                if length < len(reply):
                    followers.setdefault(reply[:length], set()).add(reply[length])
        ahead: list[tuple[float, tuple[int, ...], float]] = []

        def look(path: tuple[int, ...], logprob: float, after: Logits) -> None:
            for token in followers[path]:
                step = _log_sum(after[self._endings]) if token == END else after[token]
                longer, sum_ = (*path, token), logprob + float(step)
                # The best first; a tie goes to the one with the lower tokens.
                heapq.heappush(ahead, (-sum_ - bias[longer], longer, sum_))

        look((), 0.0, log_softmax(self._last))
        try:
            while ahead[0][1] not in numbers:
                self._check_wanted(stopped)
                taken: list[tuple[tuple[int, ...], float]] = []
                while ahead and len(taken) < together and ahead[0][1] not in numbers:
                    taken.append(heapq.heappop(ahead)[1:])
                for (path, logprob), after in zip(taken, self._beside([path for path, _ in taken]), strict=True):
                    look(path, logprob, after)
            _, path, logprob = ahead[0]
            return numbers[path], logprob
        finally:
            for sequence in range(1, together + 1):
                self._library.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def _beside(self, paths: Sequence[tuple[int, ...]]) -> list[Logits]:
        """Return the log-probabilities, float32 ``[vocabulary]``, after each path of tokens that follows the prompt."""
        position = len(self._kept)
        rows: list[tuple[int, int, tuple[int, ...], bool]] = []
        last: list[int] = []
        for sequence, path in enumerate(paths, 1):
            self._library.llama_memory_seq_rm(self._memory, sequence, -1, -1)
            self._library.llama_memory_seq_cp(self._memory, 0, sequence, -1, -1)
            rows += [(token, position + n, (sequence,), n == len(path) - 1) for n, token in enumerate(path)]
            last.append(len(rows) - 1)
        self._decode(rows)
        return [log_softmax(self._row(number)) for number in last]

    def _groups(self, continuations: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Yield groups of indices of continuations that fit the context together, grouped by common prefix."""
        room = self.window - len(self._kept)
        group: list[int] = []
        nodes: set[tuple[int, ...]] = set()
        for number in sorted(range(len(continuations)), key=lambda number: list(continuations[number])):
            tokens = tuple(continuations[number])
            own = {tokens[:length] for length in range(1, len(tokens))}
            if group and (len(group) == _SEQUENCES - 1 or len(nodes | own) > room):
                yield group
                group, nodes = [], set()
            group.append(number)
            nodes |= own
        if group:
            yield group

    def _score_group(self, continuations: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], float]:
        """Evaluate continuations as sequences 1, 2, … in addition to the prompt.

        Returns:
            For each prefix of two or more tokens, the log-probability of its last token.
        """
        owners: dict[tuple[int, ...], list[int]] = {}
        followers: dict[tuple[int, ...], set[int]] = {}
        for sequence, tokens in enumerate(continuations, 1):
            for length in range(1, len(tokens)):
                owners.setdefault(tokens[:length], []).append(sequence)
                followers.setdefault(tokens[:length], set()).add(tokens[length])
        known: dict[tuple[int, ...], float] = {}
        position = len(self._kept)
        # Parents precede their children, because positions of a sequence must be ascending.
        paths = sorted(owners, key=lambda path: (len(path), path))
        try:
            if paths:
                for sequence in range(1, len(continuations) + 1):
                    self._library.llama_memory_seq_cp(self._memory, 0, sequence, -1, -1)
            for start in range(0, len(paths), self._scored_rows):
                part = paths[start : start + self._scored_rows]
                self._decode([(path[-1], position + len(path) - 1, tuple(owners[path]), True) for path in part])
                for number, path in enumerate(part):
                    row = self._row(number)
                    norm = _log_sum(row)
                    for token in followers[path]:
                        own = _log_sum(row[self._endings]) if token == END else row[token]
                        known[*path, token] = float(own - norm)
        finally:
            for sequence in range(1, len(continuations) + 1):
                self._library.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return known

    @_in_use
    def grammar(self, text: str) -> Grammar:
        """Return a constraint for output, from a grammar in llama.cpp's GBNF.

        Raises:
            ModelError: if the grammar can't be read.
        """
        return Grammar(self._library, self._vocabulary, text, self._using)

    def _decode(self, rows: Sequence[tuple[int, int, tuple[int, ...], bool]]) -> None:
        """Evaluate at most ``_BATCH`` rows of (token, position, sequences, wants logits)."""
        batch = self._batch
        batch.n_tokens = len(rows)
        for number, (token, position, sequences, wants) in enumerate(rows):
            batch.token[number] = token
            batch.pos[number] = position
            batch.n_seq_id[number] = len(sequences)
            for slot, sequence in enumerate(sequences):
                batch.seq_id[number][slot] = sequence
            batch.logits[number] = wants
        code = self._library.llama_decode(self._context, batch)
        if code != 0:
            self._kept.clear()
            self._last = None
            self._library.llama_memory_clear(self._memory, True)
            raise ModelError(f"llama.cpp could not evaluate {len(rows)} tokens (code {code}).", "Use a shorter prompt.")

    def _row(self, number: int) -> Logits:
        """Return the logits of a row of the last ``_decode`` call, valid until the next one."""
        pointer = self._library.llama_get_logits_ith(self._context, number)
        return np.ctypeslib.as_array(pointer, shape=(self.vocabulary_size,))

    def _check_wanted(self, stopped: Callable[[], bool] | None) -> None:
        """Raise if the call was cancelled or the model is being closed."""
        self._using.check_open()
        if stopped is not None and stopped():
            raise ModelStoppedError("The call was cancelled.", "Call it again.")

    def _apply(self, lora: Path) -> None:
        adapter = self._library.llama_adapter_lora_init(self._model, str(lora).encode()) if lora.is_file() else None
        if not adapter:
            raise ModelFileError(
                f"{lora} can't be loaded as a LoRA adapter for this model.",
                "Use an adapter in GGUF format that was trained on this model.",
            )
        adapters = (self._library.llama_adapter_lora_p_ctypes * 1)(adapter)
        scales = (ctypes.c_float * 1)(1.0)
        if self._library.llama_set_adapters_lora(self._context, adapters, 1, scales) != 0:
            raise ModelFileError(f"{lora} does not fit this model.", "Use an adapter that was trained on this model.")


def _log_sum(logits: Logits) -> np.float32:
    top = logits.max()
    total: np.float32 = top + np.log(np.exp(logits - top).sum())
    return total
