"""Several replies at once with one model: continuous batching.

Each reply has a lane, a sequence of a separate context. A step evaluates one batch: the next token of each running
reply, and a part of the prompt of one that has not begun. There is no scheduler thread: a reader that waits for a token
runs the next step for all lanes, and the other readers then find their tokens ready.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np

from ragkit.errors import ModelError, ModelStoppedError
from ragkit.models.context import BATCH, Context, Row
from ragkit.models.grammar import Logits
from ragkit.models.prefixes import SavedState, SavedStates, shared_length

MOST_PARALLEL = 64
"""Maximum number of lanes."""
_AHEAD = 16
"""Tokens of a reply that are generated before its reader asks for them."""
_WORTH_COPYING = 16
"""Tokens of a common prefix that are evaluated about as fast as a state is copied."""


@dataclass(frozen=True, slots=True)
class Step:
    """A token of a reply."""

    token: int
    logprob: float | None
    """Natural log-probability, if requested."""
    cached: int
    """Number of prompt tokens that were reused."""
    ends: bool
    """Whether it ends the reply; it has no text then."""


Pick = Callable[[Logits, int], Step]
"""Chooses the next token from the logits; the second argument is ``Step.cached``."""


@dataclass(slots=True, eq=False)
class _Reply:
    prompt: list[int]
    pick: Pick
    limit: int
    lane: _Lane | None = None
    cached: int = 0
    made: int = 0
    steps: deque[Step] = field(default_factory=deque)
    """Tokens that its reader has not consumed yet."""
    token: int = -1
    """The last token, which the next step evaluates."""
    ended: bool = False
    error: Exception | None = None
    """Error to raise when its reader has consumed the tokens before it."""

    @property
    def left(self) -> int:
        """Tokens of the prompt that are not evaluated yet."""
        return len(self.prompt) if self.lane is None else max(0, len(self.prompt) - len(self.lane.tokens))

    @property
    def runs(self) -> bool:
        """Whether the next step adds a token."""
        return not self.ended and self.made > 0 and len(self.steps) < _AHEAD


@dataclass(slots=True, eq=False)
class _Lane:
    number: int
    tokens: list[int] = field(default_factory=list)
    """Evaluated tokens, kept after a reply for prompts with the same beginning."""
    reply: _Reply | None = None
    used: int = 0


class Lanes:
    """Generates several replies at once. Thread-safe.

    Args:
        context: context of as many sequences as there are lanes, not unified. It is freed by its owner.
        count: number of lanes.
        part: tokens of a prompt that a step evaluates.
        part_beside: the same while replies are running, so that they are not delayed.
        using: keeps the model in memory, and raises an error if it was closed.
        saved_bytes: memory for the states of earlier prompts.
    """

    def __init__(
        self,
        context: Context,
        count: int,
        *,
        part: int,
        part_beside: int,
        using: Callable[[], AbstractContextManager[None]],
        saved_bytes: int,
    ) -> None:
        self.window = context.sequence_window
        """Maximum tokens of prompt and reply together."""
        self._context = context
        self._part = part
        self._part_beside = min(part_beside, BATCH - count)
        self._using = using
        self._lanes = [_Lane(number) for number in range(count)]
        self._saved = SavedStates(saved_bytes)
        self._open: list[_Reply] = []
        """Replies in the order of the requests."""
        self._changed = threading.Condition()
        self._stepping = False
        self._count = 0
        """Number of steps so far."""

    def join(
        self, prompt: list[int], pick: Pick, limit: int, stopped: Callable[[], bool] | None
    ) -> Generator[Step, None, None] | None:
        """Return the tokens of a reply as they are generated, or None if all lanes are taken or it does not fit one.

        The lane is free again when the generator ends or is closed.

        Args:
            prompt: tokens of the prompt, at least one.
            pick: chooses each token; called in any of the threads that read replies.
            limit: maximum tokens of the reply.
            stopped: called before each step for which this reply waits.

        Raises:
            ModelStoppedError: while reading, if ``stopped`` returns True.
            ModelError: while reading, if the evaluation fails or the model is closed.
        """
        reply = _Reply(prompt, pick, limit)
        with self._changed:
            if len(self._open) == len(self._lanes) or len(prompt) + limit > self.window:
                return None
            self._open.append(reply)
        return self._read(reply, stopped)

    def _read(self, reply: _Reply, stopped: Callable[[], bool] | None) -> Generator[Step, None, None]:
        try:
            while True:
                while not reply.steps:
                    if reply.error is not None:
                        raise reply.error
                    if reply.ended:
                        return
                    if stopped is not None and stopped():
                        raise ModelStoppedError("The call was cancelled.", "Call it again.")
                    self._advance(reply)
                yield reply.steps.popleft()
        finally:
            with self._changed:
                self._open.remove(reply)

    def _advance(self, reply: _Reply) -> None:
        """Run a step, or wait until another thread has run one."""
        with self._changed:
            if self._stepping:
                self._changed.wait()
                return
            if reply.steps or reply.ended:
                return
            self._stepping = True
            replies = list(self._open)
        try:
            with self._using():
                self._step(replies)
        finally:
            with self._changed:
                self._stepping = False
                self._changed.notify_all()

    def _step(self, replies: list[_Reply]) -> None:
        self._count += 1
        for lane in self._lanes:
            if lane.reply is not None and (lane.reply.ended or lane.reply not in replies):
                lane.reply = None
        running = [reply for reply in replies if reply.runs]
        begun = self._next_prompt(replies)
        # llama.cpp evaluates neighbouring sequences together if their numbers ascend.
        taken = sorted([*running, *([begun] if begun else [])], key=lambda one: one.lane.number if one.lane else 0)
        size = self._part_beside if running else self._part
        rows: list[Row] = []
        complete: list[tuple[_Reply, int]] = []
        for reply in taken:
            assert reply.lane is not None
            lane = reply.lane
            at = len(lane.tokens)
            part = reply.prompt[at : at + size] if reply is begun else [reply.token]
            whole = at + len(part) >= len(reply.prompt)
            last = len(part) - 1
            rows += [(token, at + n, (lane.number,), whole and n == last) for n, token in enumerate(part)]
            lane.tokens += part
            lane.used = self._count
            if whole:
                complete.append((reply, len(rows) - 1))
        try:
            self._context.decode(rows)
        except ModelError as error:
            self._fail(replies, error)
            return
        except BaseException:  # such as KeyboardInterrupt: nobody knows what has been evaluated
            self._context.clear()
            self._fail(replies, ModelError("Generation was interrupted.", "Ask again."))
            raise
        for reply, row in complete:
            self._take(reply, self._context.logits(row))

    def _take(self, reply: _Reply, logits: Logits) -> None:
        try:
            step = reply.pick(logits, reply.cached)
        except Exception as error:  # noqa: BLE001 - raised in its reader's thread, which may be another
            reply.error, reply.ended = error, True
            return
        reply.made += 1
        reply.token = step.token
        reply.steps.append(step)
        reply.ended = step.ends or reply.made == reply.limit

    def _fail(self, replies: list[_Reply], error: ModelError) -> None:
        """End all replies; the context is empty."""
        for lane in self._lanes:
            lane.reply = None
            lane.tokens = []
        for reply in replies:
            if not reply.ended:
                reply.error, reply.ended = ModelError(error.message, error.hint), True

    def _next_prompt(self, replies: list[_Reply]) -> _Reply | None:
        """Return the reply whose prompt is evaluated next: in turn the oldest and the one with the shortest rest.

        So a long prompt does not make the others wait, and short ones do not make it wait for ever.
        """
        waiting = [reply for reply in replies if reply.made == 0 and not reply.ended]
        if not waiting:
            return None
        chosen = waiting[0] if self._count % 2 else min(waiting, key=lambda reply: reply.left)
        if chosen.lane is None:
            self._begin(chosen)
        return chosen

    def _begin(self, reply: _Reply) -> None:
        """Give a reply a lane, with the longest common prefix that is evaluated anywhere."""
        prompt = np.array(reply.prompt, dtype=np.int32)

        def shared(lane: _Lane) -> int:
            return shared_length(np.array(lane.tokens, dtype=np.int32), prompt)

        free = [lane for lane in self._lanes if lane.reply is None]
        lane: _Lane = max(free, key=lambda one: (shared(one), -one.used))
        source = max(self._lanes, key=shared)
        saved, length = self._saved.best(reply.prompt)
        if shared(source) >= max(length, shared(lane) + _WORTH_COPYING):
            saved, length = self._state_of(source), shared(source)
        if shared(lane) < len(lane.tokens):
            self._save(lane)
        if saved is not None and length >= shared(lane) + _WORTH_COPYING:
            loaded = self._context.load(lane.number, saved.state)
            lane.tokens = saved.tokens.tolist() if loaded else []
        # At least one token is evaluated, for its logits.
        reply.cached = min(shared(lane), len(reply.prompt) - 1)
        if not self._context.keep(lane.number, reply.cached):
            self._context.remove(lane.number)
            reply.cached = 0
        del lane.tokens[reply.cached :]
        lane.reply, reply.lane = reply, lane

    def _save(self, lane: _Lane) -> None:
        """Keep the state of a lane that is about to be lost."""
        if self._saved.wants(lane.tokens, self._context.state_size(lane.number)):
            self._saved.add(self._state_of(lane))

    def _state_of(self, lane: _Lane) -> SavedState:
        return SavedState(np.array(lane.tokens, dtype=np.int32), self._context.save(lane.number))
