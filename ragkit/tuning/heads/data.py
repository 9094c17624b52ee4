"""Training and held-out examples of a head."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ragkit.embedding import Vectors
from ragkit.examples.pool import letters
from ragkit.records import Example

ALIKE = 0.995
"""Minimum cosine of near-duplicates, as for ``SelectorOptions.duplicate_threshold``."""
_AT_ONCE = 512
_MOST_HELD_OUT = 2000
_TO_SPARE_ONE = 3
"""Number of examples of a label from which at least one is held out."""


def usable(examples: Iterable[Example]) -> list[Example]:
    """Return the distinct examples with an input and a label, in order."""
    found = {(e.input, e.output): e for e in examples if e.input.strip() and e.output.strip()}
    return list(found.values())


def digest(text: str) -> str:
    """Return the sha256 of an input."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def split(examples: Sequence[Example], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Return the indices of training and of held-out examples.

    The split is stratified by label: at least one of three examples is held out, and never all. It depends on each
    input's sha256, so that a later fit with more examples holds out the same ones as far as possible.

    Args:
        examples: all examples.
        share: fraction to hold out, at most 2,000 examples.
        seed: random seed.
    """
    share = min(share, _MOST_HELD_OUT / max(len(examples), 1))
    groups: dict[str, list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        groups[example.output].append(number)
    held: list[int] = []
    for numbers in groups.values():
        order = sorted(numbers, key=lambda number: digest(f"{seed} {examples[number].input}"))
        held += order[: min(max(round(share * len(order)), int(len(order) >= _TO_SPARE_ONE)), len(order) - 1)]
    out = set(held)
    return [number for number in range(len(examples)) if number not in out], sorted(held)


def alike(
    inputs: Sequence[str], vectors: Vectors, others: Sequence[str], other_vectors: Vectors, cosine: float = ALIKE
) -> NDArray[np.bool_]:
    """Return which inputs are near-duplicates of others, ignoring punctuation and case, ``[inputs]``.

    Args:
        inputs: texts.
        vectors: vectors of the inputs, ``[inputs, d]``.
        others: texts.
        other_vectors: vectors of the others, ``[others, d]``.
        cosine: minimum cosine of near-duplicates.
    """
    if not len(others):
        return np.zeros(len(inputs), dtype=bool)
    known = {letters(text) for text in others}
    found = np.array([letters(text) in known for text in inputs], dtype=bool)
    for start in range(0, len(inputs), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        found[part] |= (vectors[part] @ other_vectors.T).max(axis=1) >= cosine
    return found
