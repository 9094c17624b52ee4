"""A GGUF model in memory, through llama.cpp's low-level functions: tokens in, logits out, with a prefix cache.

The key-value cache of the last prompt is kept; a new prompt evaluates only the tokens after the common prefix.
Continuations are scored in parallel as sequences of one batch, with shared prefixes evaluated once.
"""

from __future__ import annotations

import ctypes
import heapq
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from ragkit._machine import cores, memory
from ragkit._stats import log_softmax
from ragkit.errors import MissingExtraError, ModelError, ModelFileError, ModelStoppedError, SettingsError
from ragkit.models.context import BATCH, Context, Row
from ragkit.models.grammar import Grammar, Logits
from ragkit.models.lanes import Lanes
from ragkit.models.llama_log import log_of
from ragkit.models.uses import Uses

_SEQUENCES = 64
"""Maximum sequences of a batch, including that of the prompt."""
_STOPPABLE_BATCH = 128
"""Tokens of a prompt that a CPU evaluates between checks for cancellation: a few tenths of a second for a small model.
Smaller parts are inefficient on a busy machine. A GPU evaluates a complete batch faster."""
END = -1
"""Placeholder for any token that ends a reply."""
_AT_ONCE = 2
"""Prefixes that ``choose`` evaluates in parallel."""
_PART_BESIDE = 32
"""Tokens of a prompt that a CPU evaluates for each token of the replies that run beside it. Larger parts are not faster
per token, and the first sentence of a running reply takes as many steps as it has tokens."""
_LANE_WINDOW = 4096
"""Maximum tokens of a lane; longer prompts are evaluated alone."""
_LANES_MEMORY = 0.1
"""Share of the machine's memory that the lanes' context may take."""
_SAVED_BYTES, _SAVED_MEMORY = 2**28, 0.05
"""Memory for the states of earlier prompts, and its maximum share of the machine's memory. With SmolLM2, 256 MiB hold
16 prompts of 700 tokens."""
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
        self._contexts: list[Context] = []
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
        self._lora = lora
        self._threads = threads or cores()
        self._on_cpu = gpu_layers == 0
        self._computing = threading.Lock()
        try:
            self._adapter = None if lora is None else self._load_adapter(lora)
            self._context = self._new_context(self.window, _SEQUENCES, unified=True)
        except ModelError:
            self.close()
            raise
        self._vocabulary = library.llama_model_get_vocab(self._model)
        self.vocabulary_size: int = library.llama_vocab_n_tokens(self._vocabulary)
        self.adds_start: bool = bool(library.llama_vocab_get_add_bos(self._vocabulary))
        self.start: int = library.llama_vocab_bos(self._vocabulary)
        self.end: int = library.llama_vocab_eos(self._vocabulary)
        self._scored_rows = max(16, min(BATCH, _OUTPUT_CELLS // self.vocabulary_size))
        self._kept: list[int] = []
        self._last: Logits | None = None
        self._part = _STOPPABLE_BATCH if self._on_cpu else BATCH

    def close(self) -> None:
        """Free the model once running calls have ended; later calls raise an error. A long evaluation is cancelled."""
        if hasattr(self, "_using"):
            self._using.close(self._free)

    def _free(self) -> None:
        for context in self._contexts:
            context.free()
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
        if not self._context.keep(0, shared):
            # A recurrent model can't go back to an earlier position, so it is evaluated from the start.
            self._context.clear()
            shared = 0
        del kept[shared:]
        part: list[int] = []
        size = BATCH if stopped is None else self._part
        for first in range(shared, len(tokens), size):
            self._check_wanted(stopped)
            part = tokens[first : first + size]
            final = first + len(part) == len(tokens)
            self._decode([(token, first + n, (0,), final and n == len(part) - 1) for n, token in enumerate(part)])
            kept += part
        self._last = self._context.logits(len(part) - 1).copy()
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
                self._context.remove(sequence)

    def _beside(self, paths: Sequence[tuple[int, ...]]) -> list[Logits]:
        """Return the log-probabilities, float32 ``[vocabulary]``, after each path of tokens that follows the prompt."""
        position = len(self._kept)
        rows: list[tuple[int, int, tuple[int, ...], bool]] = []
        last: list[int] = []
        for sequence, path in enumerate(paths, 1):
            self._context.remove(sequence)
            self._context.copy(0, sequence)
            rows += [(token, position + n, (sequence,), n == len(path) - 1) for n, token in enumerate(path)]
            last.append(len(rows) - 1)
        self._decode(rows)
        return [log_softmax(self._context.logits(number)) for number in last]

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
                    self._context.copy(0, sequence)
            for start in range(0, len(paths), self._scored_rows):
                part = paths[start : start + self._scored_rows]
                self._decode([(path[-1], position + len(path) - 1, tuple(owners[path]), True) for path in part])
                for number, path in enumerate(part):
                    row = self._context.logits(number)
                    norm = _log_sum(row)
                    for token in followers[path]:
                        own = _log_sum(row[self._endings]) if token == END else row[token]
                        known[*path, token] = float(own - norm)
        finally:
            for sequence in range(1, len(continuations) + 1):
                self._context.remove(sequence)
        return known

    def lane_window(self, count: int) -> int:
        """Return the tokens that each of several lanes can have within their share of the machine's memory."""
        library, model = self._library, self._model
        kind = self.metadata("general.architecture")
        named = self.metadata(f"{kind}.attention.key_length")
        heads = max(1, library.llama_model_n_head(model))
        width = int(named) if named else library.llama_model_n_embd(model) // heads
        # Keys and values of two bytes each.
        token: int = 4 * library.llama_model_n_layer(model) * library.llama_model_n_head_kv(model) * width
        fitting = int(_LANES_MEMORY * (memory() or 0)) // (count * max(1, token))
        return min(self.window, _LANE_WINDOW, fitting // 256 * 256)

    @_in_use
    def lanes(self, count: int) -> Lanes:
        """Return lanes for several replies at once, with a separate context.

        Raises:
            ModelError: if there is not enough memory.
        """
        context = self._new_context(count * self.lane_window(count), count, unified=False)
        saved = min(_SAVED_BYTES, int(_SAVED_MEMORY * (memory() or 0)))
        beside = _PART_BESIDE if self._on_cpu else BATCH
        return Lanes(context, count, part=self._part, part_beside=beside, using=self._using, saved_bytes=saved)

    @_in_use
    def grammar(self, text: str) -> Grammar:
        """Return a constraint for output, from a grammar in llama.cpp's GBNF.

        Raises:
            ModelError: if the grammar can't be read.
        """
        return Grammar(self._library, self._vocabulary, text, self._using)

    def _decode(self, rows: Sequence[Row]) -> None:
        try:
            self._context.decode(rows)
        except ModelError:
            self._kept.clear()
            self._last = None
            raise

    def _check_wanted(self, stopped: Callable[[], bool] | None) -> None:
        """Raise if the call was cancelled or the model is being closed."""
        self._using.check_open()
        if stopped is not None and stopped():
            raise ModelStoppedError("The call was cancelled.", "Call it again.")

    def _new_context(self, window: int, sequences: int, *, unified: bool) -> Context:
        context = Context(
            self._library,
            self._model,
            window=window,
            sequences=sequences,
            unified=unified,
            threads=self._threads,
            on_cpu=self._on_cpu,
            computing=self._computing,
        )
        if self._adapter is not None and not context.apply(self._adapter):
            context.free()
            raise ModelFileError(
                f"{self._lora} does not fit this model.", "Use an adapter that was trained on this model."
            )
        self._contexts.append(context)
        return context

    def _load_adapter(self, lora: Path) -> Any:
        adapter = self._library.llama_adapter_lora_init(self._model, str(lora).encode()) if lora.is_file() else None
        if not adapter:
            raise ModelFileError(
                f"{lora} can't be loaded as a LoRA adapter for this model.",
                "Use an adapter in GGUF format that was trained on this model.",
            )
        return adapter


def _log_sum(logits: Logits) -> np.float32:
    top = logits.max()
    total: np.float32 = top + np.log(np.exp(logits - top).sum())
    return total
