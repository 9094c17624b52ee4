"""Chooses the best of several settings on held-out examples, within a budget of calls."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ragkit.errors import TaskError
from ragkit.records import Example

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Trial(Generic[S]):
    """A setting and its score."""

    setting: S
    score: float
    """Mean score over its examples."""
    tried: int

    @property
    def error(self) -> float:
        """Standard error of the score, as a fraction of correct answers."""
        return math.sqrt(max(self.score * (1 - self.score), 0.0) / max(self.tried, 1))


@dataclass(frozen=True, slots=True)
class FitReport(Generic[S]):
    """Report on the settings that were compared."""

    best: S
    trials: tuple[Trial[S], ...]
    """Trials, the best first: by number of examples, then by score."""
    calls: int


def race(
    settings: Sequence[S],
    score: Callable[[S, Example], float],
    dev: Sequence[Example],
    calls: int,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> FitReport[S]:
    """Compare settings on held-out examples by successive halving.

    Successive halving (Jamieson and Talwalkar, AISTATS 2016): in each round, all remaining settings are scored on the
    same further examples, with an equal share of the calls; then the worse half is dropped.

    Args:
        settings: candidate settings, the simplest first; a tie goes to the first.
        score: returns the score of one example under one setting, 0 to 1.
        dev: examples that are not among the settings' own shots.
        calls: maximum number of calls of ``score``.
        seed: random seed for the order of the examples.
        progress: called with the number of calls so far and the maximum.

    Raises:
        TaskError: if there are no settings or examples, or fewer calls than settings.
    """
    if not settings or not dev:
        raise TaskError(
            f"There are {len(settings)} settings to compare on {len(dev)} examples.", "Pass at least one of each."
        )
    if len(settings) == 1:
        return FitReport(settings[0], (Trial(settings[0], 0.0, 0),), 0)
    if calls < len(settings):
        raise TaskError(
            f"{calls} calls are too few to compare {len(settings)} settings.",
            f"Allow at least {len(settings)} calls, or pass fewer settings.",
        )
    items = list(dev)
    random.Random(seed).shuffle(items)  # noqa: S311
    rounds = max(1, math.ceil(math.log2(len(settings))))
    scores: list[list[float]] = [[] for _ in settings]
    alive = list(range(len(settings)))
    done = 0

    def mean(number: int) -> float:
        return sum(scores[number]) / max(len(scores[number]), 1)

    for turn in range(rounds):
        share = (calls - done) // (rounds - turn)
        first = len(scores[alive[0]])
        for item in items[first : first + max(1, share // len(alive))]:
            if done + len(alive) > calls:
                break
            for number in alive:
                scores[number].append(score(settings[number], item))
                done += 1
                if progress is not None:
                    progress(done, calls)
        alive = sorted(alive, key=lambda number: (-mean(number), number))[: max(1, (len(alive) + 1) // 2)]
    order = sorted(range(len(settings)), key=lambda number: (-len(scores[number]), -mean(number), number))
    trials = tuple(Trial(settings[number], mean(number), len(scores[number])) for number in order)
    return FitReport(trials[0].setting, trials, done)
