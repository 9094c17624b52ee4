"""The state of a search, shared by all methods: budget, log, random generator and trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TypeVar

import numpy as np

from ragkit._progress import Progress, ProgressCallback
from ragkit.errors import SettingsError
from ragkit.examples.pool import normal
from ragkit.models import ChatModel, GenerationOptions, complete
from ragkit.prompt_search.base import ExampleScore, Objective, PromptCandidate, SearchOptions, digest
from ragkit.prompt_search.journal import Journal
from ragkit.prompt_search.proposals import LONGEST, leaked_input, read_instruction
from ragkit.prompt_search.report import Dropped, Trial
from ragkit.records import Example, Message

T = TypeVar("T")
PATIENCE = 3
"""Consecutive rounds without new candidates after which a search ends."""


class Study:
    """The state of a search.

    Args:
        objective: scores candidates.
        train: examples for shots and demonstrations.
        dev: examples on which candidates are scored.
        options: options of the search.
        journal: log of the search.
        proposer: model that writes instructions; None if the method needs none.
        progress: called with a ``Progress`` after each call.
    """

    def __init__(
        self,
        objective: Objective,
        train: Sequence[Example],
        dev: Sequence[Example],
        options: SearchOptions,
        journal: Journal,
        proposer: ChatModel | None = None,
        progress: ProgressCallback | None = None,
    ) -> None:
        self.train = tuple(train)
        self.dev = tuple(dev)
        self.options = options
        self.chance = np.random.default_rng(options.seed)
        self.trials: list[Trial] = []
        self.dropped: list[Dropped] = []
        self.notes: list[str] = []
        self.calls = 0
        self.proposals = 0
        self._objective = objective
        self._journal = journal
        self._proposer = proposer
        self._progress = progress
        self._outcomes: dict[tuple[str, str, int], ExampleScore] = {}
        self._seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
        self._inputs = [normal(example.input) for example in self.dev]

    @property
    def left(self) -> int:
        """Number of calls left."""
        return self.options.max_calls - self.calls

    @property
    def best(self) -> Trial:
        """Complete trial with the highest score; a tie goes to the earliest."""
        return max((trial for trial in self.trials if trial.complete), key=lambda trial: (trial.score, -trial.number))

    def cost(self, candidate: PromptCandidate, numbers: Sequence[int], split: str = "dev") -> int:
        """Return the number of calls that ``score`` would make; known scores need none."""
        return sum((candidate.key, split, number) not in self._outcomes for number in numbers)

    def score(self, candidate: PromptCandidate, numbers: Sequence[int], split: str = "dev") -> list[ExampleScore]:
        """Return the scores of a candidate on items of ``dev`` or ``train``, in order.

        Raises:
            SettingsError: if the objective does not return one score per example.
        """
        key = candidate.key
        missing = [number for number in numbers if (key, split, number) not in self._outcomes]
        self._spend(0, len(missing))
        items = self.dev if split == "dev" else self.train
        unknown = []
        for number in missing:
            known = self._journal.item(key, split, number)
            if known is None:
                unknown.append(number)
            else:
                self._outcomes[key, split, number] = known
        self._spend(len(missing) - len(unknown))
        for first in range(0, len(unknown), self.options.batch_size):
            some = unknown[first : first + self.options.batch_size]
            found = self._objective(candidate, [items[number] for number in some])
            if len(found) != len(some):
                raise SettingsError(
                    f"The objective returned {len(found)} scores for {len(some)} examples.",
                    "It must return one score per example, in order.",
                )
            self._journal.add_items(key, split, dict(zip(some, found, strict=True)))
            self._outcomes.update({(key, split, n): outcome for n, outcome in zip(some, found, strict=True)})
            self._spend(len(some))
        return [self._outcomes[key, split, number] for number in numbers]

    def fitting(self, ask: Callable[[Sequence[T]], list[Message]], items: Sequence[T]) -> list[Message]:
        """Return the proposer's messages with as many of the last items as fit its window, at least one."""
        proposer = self._the_proposer()
        room = proposer.window - self.options.max_tokens
        for first in range(len(items)):
            messages = ask(items[first:])
            if proposer.count_tokens(messages) <= room:
                return messages
        return ask(items[-1:])

    def propose(self, messages: Sequence[Message]) -> str:
        """Return the proposer's reply.

        Raises:
            PromptOverflowError: if the messages don't fit its window.
            ModelError: if it fails.
        """
        self._spend(0, 1)
        seed = int(self.chance.integers(2**31))
        asked = digest([[asdict(message) for message in messages], seed])
        reply = self._journal.proposal(self.proposals, asked)
        if reply is None:
            options = GenerationOptions(self.options.max_tokens, self.options.temperature, seed)
            reply = complete(self._the_proposer(), messages, options).text
            self._journal.add_proposal(self.proposals, asked, reply)
        self.proposals += 1
        self._spend(1)
        return reply

    def screened(self, reply: str, shots: tuple[Example, ...]) -> PromptCandidate | None:
        """Return the candidate in a proposer's reply, or None if it is rejected, with a recorded reason."""
        instruction = read_instruction(reply)
        leak = leaked_input(instruction, self._inputs)
        candidate = PromptCandidate(instruction, shots)
        reason = ""
        if not instruction:
            reason = "empty"
        elif len(instruction) > LONGEST:
            reason = "too long"
        elif leak is not None:
            reason = f"contains the dev input {leak[:80]!r}"
        elif not self.is_new(candidate):
            reason = "seen before"
        if not reason:
            return candidate
        self.dropped.append(Dropped(reply, reason))
        return None

    def is_new(self, candidate: PromptCandidate) -> bool:
        """Return whether a candidate is new, ignoring case and white space of the instruction."""
        own = (normal(candidate.instruction), tuple((shot.input, shot.output) for shot in candidate.shots))
        if own in self._seen:
            return False
        self._seen.add(own)
        return True

    def settle(self, candidate: PromptCandidate, origin: str, note: str = "") -> Trial:
        """Record the trial of a candidate, with its dev scores."""
        scores = {
            number: self._outcomes[candidate.key, "dev", number].score
            for number in range(len(self.dev))
            if (candidate.key, "dev", number) in self._outcomes
        }
        trial = Trial(len(self.trials), candidate, origin, scores, len(scores) == len(self.dev), note)
        self._journal.settle(trial.to_dict())
        self.trials.append(trial)
        return trial

    def drawn_train(self, count: int) -> list[Example]:
        """Sample training examples without replacement."""
        chosen = self.chance.choice(len(self.train), min(count, len(self.train)), replace=False)
        return [self.train[int(number)] for number in chosen]

    def _the_proposer(self) -> ChatModel:
        if self._proposer is None:
            raise SettingsError("There is no proposer.", "Pass proposer=open_model('smollm2') or another model.")
        return self._proposer

    def _spend(self, calls: int, planned: int = 0) -> None:
        if calls + planned > self.left:
            raise RuntimeError(f"A method requested {calls + planned} calls, but {self.left} are left.")
        self.calls += calls
        if calls and self._progress is not None:
            current = f"best {self.best.score:.3f}" if any(trial.complete for trial in self.trials) else ""
            self._progress(Progress("search", self.calls, self.options.max_calls, current))
