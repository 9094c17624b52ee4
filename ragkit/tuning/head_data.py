"""Which examples a head learns from, and which it is measured on."""

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
"""The cosine from which on two inputs count as the same, as for ``SelectorOptions.duplicate_threshold``."""
_AT_ONCE = 512
_MOST_HELD_OUT = 2000
_TO_SPARE_ONE = 3
"""Examples of a label of which one is held out, however small the share."""


def usable(examples: Iterable[Example]) -> list[Example]:
    """Return the examples that have an input and a label, each once, in their order."""
    found = {(e.input, e.output): e for e in examples if e.input.strip() and e.output.strip()}
    return list(found.values())


def digest(text: str) -> str:
    """Return what an input is known by without keeping it: its sha256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def split(examples: Sequence[Example], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Return the numbers of the examples to learn from and of those to hold out.

    Of each label the same share is held out: of three examples one at least, and never all. An input's own sha256
    decides, so that in a later fit with more examples the same ones are held out, as far as the share allows.

    Args:
        examples: all.
        share: to hold out; less of so many that these would be above 2,000.
        seed: another one holds out others.
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
    """Tell which inputs stand among others, signs and case aside, or nearly, ``[inputs]``.

    Args:
        inputs: texts.
        vectors: of them, ``[inputs, d]``.
        others: texts.
        other_vectors: of them, ``[others, d]``.
        cosine: from which on two count as the same.
    """
    if not len(others):
        return np.zeros(len(inputs), dtype=bool)
    known = {letters(text) for text in others}
    found = np.array([letters(text) in known for text in inputs], dtype=bool)
    for start in range(0, len(inputs), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        found[part] |= (vectors[part] @ other_vectors.T).max(axis=1) >= cosine
    return found
