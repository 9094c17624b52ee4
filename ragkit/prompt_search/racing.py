"""Successive halving of candidates on dev items."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ragkit.prompt_search.base import PromptCandidate
from ragkit.prompt_search.study import Study

Entrant = tuple[PromptCandidate, str]
"""A candidate and its origin."""


def race(study: Study, entrants: Sequence[Entrant]) -> None:
    """Find the best candidate by successive halving, and record all of them.

    All are scored on the same few dev items; the worse half is dropped, and the others are scored on twice as many,
    until the remaining ones are scored on all. After Jamieson and Talwalkar, AISTATS 2016; APE's adaptive filtering
    (arXiv:2211.01910) is similar. A candidate is also dropped once it can no longer exceed the best score.

    Args:
        study: the search, with at least ``race_cost`` calls left.
        entrants: candidates; a tie goes to the first.
    """
    order = [int(number) for number in study.chance.permutation(len(study.dev))]
    alive = list(entrants)
    for size in _sizes(len(order), study.options.minibatch):
        items = order[:size]
        sums = [math.fsum(outcome.score for outcome in study.score(candidate, items)) for candidate, _ in alive]
        ranked = sorted(range(len(alive)), key=lambda number: (-sums[number], number))
        if size == len(order):
            for number in ranked:
                study.settle(*alive[number])
            return
        to_beat = math.fsum(study.best.scores.values())
        hopeful = [number for number in ranked if sums[number] + len(order) - size > to_beat]
        kept = hopeful[: _half(len(alive))]
        for number in ranked:
            if number not in kept:
                why = "others were better" if number in hopeful else "can no longer exceed the best"
                study.settle(*alive[number], f"{why} after {size} items")
        alive = [alive[number] for number in sorted(kept)]


def race_cost(study: Study, count: int) -> int:
    """Return the maximum number of calls for a number of new candidates."""
    calls, before = 0, 0
    for size in _sizes(len(study.dev), study.options.minibatch):
        calls += count * (size - before)
        before, count = size, _half(count)
    return calls


def race_size(study: Study, each: int = 0) -> int:
    """Return the number of candidates for the remaining calls, at most ``options.proposals``.

    Args:
        study: the search.
        each: number of calls to create a candidate.
    """
    sizes = range(study.options.proposals, 0, -1)
    return next((count for count in sizes if count * each + race_cost(study, count) <= study.left), 0)


def _half(count: int) -> int:
    return (count + 1) // 2


def _sizes(items: int, first: int) -> list[int]:
    """Return the total number of items per candidate after each round."""
    sizes = [min(first, items)]
    while sizes[-1] < items:
        sizes.append(min(2 * sizes[-1], items))
    return sizes
