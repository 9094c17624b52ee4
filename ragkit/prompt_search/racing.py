"""Many candidates on few dev items, and ever fewer of them on ever more."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ragkit.prompt_search.base import PromptCandidate
from ragkit.prompt_search.study import Study

Entrant = tuple[PromptCandidate, str]
"""A candidate and how it came."""


def race(study: Study, entrants: Sequence[Entrant]) -> None:
    """Find the best of some candidates by successive halving, and settle all of them.

    All are scored on the same few dev items; the worse half goes, and the others are scored on twice as many, until
    those that are left have been scored on all. After Jamieson and Talwalkar, AISTATS 2016; APE's adaptive filtering
    (arXiv:2211.01910) is of the same kind. A candidate also goes once it can't beat the best so far, whatever comes.

    Args:
        study: with calls left for ``race_cost`` of so many.
        entrants: of equals the first stays.
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
                why = "others did better" if number in hopeful else "can't beat the best any more"
                study.settle(*alive[number], f"{why} after {size} items")
        alive = [alive[number] for number in sorted(kept)]


def race_cost(study: Study, count: int) -> int:
    """Return the most calls that a race of so many new candidates takes."""
    calls, before = 0, 0
    for size in _sizes(len(study.dev), study.options.minibatch):
        calls += count * (size - before)
        before, count = size, _half(count)
    return calls


def race_size(study: Study, each: int = 0) -> int:
    """Return how many candidates to race with the calls that are left, at most ``options.proposals``.

    Args:
        study: the search.
        each: calls that making a candidate takes.
    """
    sizes = range(study.options.proposals, 0, -1)
    return next((count for count in sizes if count * each + race_cost(study, count) <= study.left), 0)


def _half(count: int) -> int:
    return (count + 1) // 2


def _sizes(items: int, first: int) -> list[int]:
    """Return how many items the candidates of each round are scored on, in all."""
    sizes = [min(first, items)]
    while sizes[-1] < items:
        sizes.append(min(2 * sizes[-1], items))
    return sizes
