"""Local models with llama.cpp."""

from __future__ import annotations

import codecs
import logging
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from ragkit._stats import log_softmax
from ragkit.errors import ModelError, ModelFileError, PromptError, PromptOverflowError, SettingsError
from ragkit.models.base import Choice, Delta, GenerationOptions
from ragkit.models.chat_template import PLAIN, ChatTemplate
from ragkit.models.cpu_format import cpu_file
from ragkit.models.engine import END, Engine
from ragkit.models.gguf_header import check_gguf
from ragkit.models.grammar import Grammar, Logits, gbnf
from ragkit.models.lanes import MOST_PARALLEL, Lanes, Pick, Step
from ragkit.models.schema import held_to_schema
from ragkit.models.spans import reply_span
from ragkit.models.stopping import stopped_by
from ragkit.models.stops import StopGuard
from ragkit.records import Message, Usage

_PATIENCE = 60.0
"""Seconds that a call waits for a stream that nobody continues to read."""
_SHORTEST_LANE = 1024
"""Tokens below which a lane is of no use for prompts with passages."""
log = logging.getLogger(__name__)


class LlamaCppModel:
    """A local GGUF model. Thread-safe; calls take turns, or are generated together if ``parallel`` is more than 1.

    A stream keeps its turn until it ends or is closed. An unfinished stream does not block: a call from the same thread
    takes precedence at once, and the stream evaluates its prompt again when it continues.

    Args:
        path: path of the GGUF file.
        name: display name; by default the name of the file.
        window: context window in tokens; 0 for that of the training, at most 8,192.
        threads: number of threads; 0 for all cores.
        gpu_layers: number of layers on the GPU, -1 for all, if llama-cpp-python supports one.
        lora: LoRA adapter in GGUF format, trained on this model.
        parallel: maximum number of replies that are generated at once; fewer if the machine has little memory.
            Only streams without a grammar or JSON schema; other calls take turns.

    Raises:
        MissingExtraError: if llama-cpp-python is not installed.
        ModelNotFoundError: if there is no such file.
        ModelFileError: if llama.cpp can't load the file.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        name: str = "",
        window: int = 0,
        threads: int = 0,
        gpu_layers: int = 0,
        lora: str | Path | None = None,
        parallel: int = 1,
    ) -> None:
        if not 1 <= parallel <= MOST_PARALLEL:
            raise SettingsError(
                f"parallel must be >= 1 and <= {MOST_PARALLEL}, got {parallel}.", "Use 1 for one reply at a time."
            )
        file = Path(path).expanduser()
        check_gguf(file)
        adapter = Path(lora).expanduser() if lora is not None else None
        self.name = name or file.stem
        self.path = file
        """Path of the GGUF file."""
        open_engine = partial(Engine, window=window, threads=threads, gpu_layers=gpu_layers, lora=adapter)
        loaded = cpu_file(file) if gpu_layers == 0 else file
        try:
            self._engine = open_engine(loaded)
        except ModelFileError:
            if loaded == file:
                raise
            # A damaged copy is made again at the next use.
            loaded.unlink(missing_ok=True)
            self._engine = open_engine(file)
        self.window = self._engine.window
        self.parameters = self._engine.parameters
        """Number of parameters."""
        source = self._engine.metadata("tokenizer.chat_template")
        self.has_template = source is not None
        self._template = ChatTemplate(
            source or PLAIN, self._engine.name_of(self._engine.start), self._engine.name_of(self._engine.end)
        )
        self._turn = threading.Lock()
        # Guards the context during an evaluation; the turn above only avoids repeated evaluations.
        self._lock = threading.Lock()
        self._last_thread = 0
        self._last_active = time.monotonic()
        fits = parallel > 1 and self._engine.lane_window(parallel) >= min(_SHORTEST_LANE, self.window)
        self.parallel = parallel if fits else 1
        """Maximum number of replies that are generated at once."""
        self._lanes: Lanes | None = None
        self._opening = threading.Lock()

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the exact number of tokens of the prompt."""
        return len(self._prompt(messages))

    def count_text(self, text: str) -> int:
        """Return the number of tokens of a text."""
        return len(self._engine.tokenize(text))

    @reply_span("llama_cpp")
    def stream(self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()) -> Iterator[Delta]:
        """Yield the reply as it is generated. The common prefix with the previous prompt is not evaluated again.

        Raises:
            PromptOverflowError: if prompt and reply do not fit the window.
            ModelError: if the JSON schema or the grammar is not supported.
            ModelOutputError: if the reply is truncated before its JSON is complete.
        """
        grammar = options.grammar if options.json_schema is None else gbnf(options.json_schema)
        yield from held_to_schema(self._stream(messages, "", grammar, options), options)

    @reply_span("llama_cpp")
    def continue_reply(
        self, messages: Sequence[Message], begun: str, options: GenerationOptions = GenerationOptions()
    ) -> Iterator[Delta]:
        """Yield the rest of a reply that has begun; see ``ConstrainedModel``.

        Raises:
            PromptOverflowError: if prompt and reply do not fit the window.
            ModelError: if the grammar is invalid.
        """
        return self._stream(messages, begun, options.grammar, options)

    def score(
        self, messages: Sequence[Message], continuations: Sequence[str], *, whole: bool = False
    ) -> list[list[float]]:
        """Return the log-probability of each token of each continuation; see ``ScoringModel``.

        Raises:
            PromptOverflowError: if prompt and continuation do not fit the window.
        """
        prompt = self._prompt(messages)
        end = self._end if whole else []
        tokens = [self._engine.tokenize(self.lead + text) + end for text in continuations]
        self._check_room(prompt, max(map(len, tokens), default=0))
        with self._taking_turns(), self._lock:
            self._engine.evaluate(prompt)
            return self._engine.score(tokens)

    def choose(self, messages: Sequence[Message], replies: Sequence[str], biases: Sequence[float] = ()) -> Choice:
        """Return the most probable of complete replies; see ``ScoringModel``.

        Raises:
            PromptError: if there are no replies, or the number of biases differs.
            PromptOverflowError: if prompt and reply do not fit the window.
        """
        if not replies or (biases and len(biases) != len(replies)):
            raise PromptError(
                f"There are {len(replies)} replies to choose from and {len(biases)} biases.",
                "Pass at least one reply, and no biases or one per reply.",
            )
        prompt = self._prompt(messages)
        end = self._end
        tokens = [self._engine.tokenize(self.lead + text) + end for text in replies]
        self._check_room(prompt, max(map(len, tokens)))
        with self._taking_turns(), self._lock:
            _, cached = self._engine.evaluate(prompt, stopped_by())
            number, logprob = self._engine.choose(tokens, biases or [0.0] * len(tokens), stopped_by())
        return Choice(number, logprob, Usage(len(prompt), len(tokens[number]) - len(end), cached, 0.0))

    def choose_next(
        self, messages: Sequence[Message], begun: str, pieces: Sequence[str], biases: Sequence[float] = ()
    ) -> Choice:
        """Return the most probable continuation of a reply that has begun; see ``ConstrainedModel``.

        Raises:
            PromptError: if there are no pieces, one is a prefix of another, or the number of biases differs.
            PromptOverflowError: if prompt and reply do not fit the window.
        """
        ordered = sorted(set(pieces))
        prefix = next((a for a, b in pairwise(ordered) if b.startswith(a)), None)
        if not pieces or prefix is not None or (biases and len(biases) != len(pieces)):
            raise PromptError(
                f"There are {len(pieces)} pieces to choose from and {len(biases)} biases"
                f"{'' if prefix is None else f'; {prefix!r} is empty or a prefix of another'}.",
                "Pass at least one piece, none a prefix of another, and no biases or one per piece.",
            )
        prompt = self._prompt(messages, begun)
        tokens = [self._engine.tokenize(text) for text in pieces]
        self._check_room(prompt, max(map(len, tokens)))
        with self._taking_turns(), self._lock:
            _, cached = self._engine.evaluate(prompt, stopped_by())
            number, logprob = self._engine.choose(tokens, biases or [0.0] * len(tokens), stopped_by())
        return Choice(number, logprob, Usage(len(prompt), len(tokens[number]), cached, 0.0))

    @property
    def lead(self) -> str:
        """Text between prompt and reply: a space after a base model's ``Answer:``, else nothing."""
        return "" if self.has_template else " "

    @property
    def _end(self) -> list[int]:
        return [END] if self.has_template else self._engine.tokenize("\n")

    def close(self) -> None:
        """Free the model's memory; running calls end with an error first."""
        self._engine.close()

    def _prompt(self, messages: Sequence[Message], begun: str = "") -> list[int]:
        tokens = self._template.tokens(messages, lambda text, special: self._engine.tokenize(text, special=special))
        if self._engine.adds_start and tokens[:1] != [self._engine.start]:
            tokens.insert(0, self._engine.start)
        return tokens + self._engine.tokenize(self.lead + begun) if begun else tokens

    def _check_room(self, prompt: list[int], reply: int) -> None:
        if len(prompt) + reply > self.window:
            raise PromptOverflowError(
                f"The prompt has {len(prompt)} tokens and the reply may have {reply}, but the window of {self.name} is "
                f"{self.window}.",
                "Shorten the prompt, reduce max_tokens, or use a model with a longer window.",
            )

    @contextmanager
    def _taking_turns(self) -> Iterator[None]:
        """Wait until no other call is running, except an unfinished stream of the same thread."""
        mine = self._turn.acquire(blocking=False)
        if self._last_thread != threading.get_ident():
            while not mine and (left := self._last_active + _PATIENCE - time.monotonic()) > 0:
                mine = self._turn.acquire(timeout=left)
        self._last_active = time.monotonic()
        try:
            yield
        finally:
            self._last_active = time.monotonic()
            if mine:
                self._turn.release()

    def _evaluate(self, tokens: list[int]) -> tuple[Logits, int]:
        with self._lock:
            self._last_thread = threading.get_ident()
            try:
                return self._engine.evaluate(tokens, stopped_by())
            finally:
                self._last_active = time.monotonic()

    def _stream(
        self, messages: Sequence[Message], begun: str, grammar: str | None, options: GenerationOptions
    ) -> Iterator[Delta]:
        prompt = self._prompt(messages, begun)
        self._check_room(prompt, options.max_tokens)
        constraint = None if grammar is None else self._engine.grammar(grammar)
        pick = partial(_pick, self._engine, options, np.random.default_rng(options.seed or 0), constraint)
        together = None if constraint is not None else self._together(prompt, pick, options.max_tokens)
        steps = together or self._alone(prompt, pick, options.max_tokens)
        try:
            with closing(steps):
                yield from self._texts(steps, len(prompt), options, strip=not (self.has_template or begun))
        finally:
            if constraint is not None:
                constraint.close()

    def _together(self, prompt: list[int], pick: Pick, most: int) -> Generator[Step, None, None] | None:
        """Return the tokens of a reply that is generated together with others, or None if it is generated alone.

        The lanes are created when a call has to wait for another, so that a single client needs no memory for them.
        """
        if self.parallel == 1 or most < 1 or (self._lanes is None and not self._turn.locked()):
            return None
        with self._opening:
            if self._lanes is None and self.parallel > 1:
                try:
                    self._lanes = self._engine.lanes(self.parallel)
                except ModelError as error:
                    log.warning("%s generates one reply at a time: %s", self.name, error.message)
                    self.parallel = 1
        return None if self._lanes is None else self._lanes.join(prompt, pick, most, stopped_by())

    def _alone(self, prompt: list[int], pick: Pick, most: int) -> Generator[Step, None, None]:
        with self._taking_turns():
            tokens = list(prompt)
            logits, cached = self._evaluate(tokens)
            for made in range(1, most + 1):
                step = pick(logits, cached)
                yield step
                tokens.append(step.token)
                if made < most:
                    logits, _ = self._evaluate(tokens)

    def _texts(
        self, steps: Iterator[Step], prompt_tokens: int, options: GenerationOptions, *, strip: bool
    ) -> Iterator[Delta]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        guard = StopGuard(options.stop)
        made = cached = 0
        finish = "length"
        for step in steps:
            cached = step.cached
            if step.ends:
                finish = "stop"
                break
            made += 1
            piece = decoder.decode(self._engine.piece(step.token))
            if made == 1 and strip:
                piece = piece.lstrip(" ")
            text = guard.feed(piece)
            if guard.stopped:
                finish = "stop"
                yield Delta(text, step.logprob)
                break
            if text or options.logprobs:
                yield Delta(text, step.logprob)
        # Bytes of a character that is truncated by the limit are dropped.
        rest = "" if guard.stopped else guard.rest()
        yield Delta(rest, None, finish, Usage(prompt_tokens, made, cached, 0.0))


def _pick(
    engine: Engine,
    options: GenerationOptions,
    random: np.random.Generator,
    grammar: Grammar | None,
    logits: Logits,
    cached: int,
) -> Step:
    """Return the next token: the most probable allowed one, or one sampled at the temperature."""
    token = _choose(logits, options.temperature or 0.0, random, grammar)
    ends = engine.ends(token)
    if grammar is not None and not ends:
        grammar.accept(token)
    return Step(token, float(log_softmax(logits)[token]) if options.logprobs and not ends else None, cached, ends)


def _choose(logits: Logits, temperature: float, random: np.random.Generator, grammar: Grammar | None) -> int:
    if temperature <= 0:
        best = int(np.argmax(logits))
        return best if grammar is None or grammar.allows(best) else int(np.argmax(grammar.mask(logits)))
    if grammar is not None:
        logits = grammar.mask(logits)
    weights = np.exp(log_softmax(logits / temperature).astype(np.float64))
    return int(random.choice(len(weights), p=weights / weights.sum()))
