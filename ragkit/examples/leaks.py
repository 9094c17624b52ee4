"""Finds examples of a test split that a pool contains, exactly or nearly; accuracy on them is meaningless."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from ragkit.errors import ExamplePoolError
from ragkit.examples.candidates import ALIKE, parts_of
from ragkit.examples.pool import ExamplePool, letters, origin_of
from ragkit.indexing import Field
from ragkit.records import Example

_AT_ONCE = 256
_NEAREST = 5


@dataclass(frozen=True, slots=True)
class Leak:
    """An example of a test split whose input, or a near-duplicate, is in a pool."""

    example: Example
    """The example of the test split."""
    found: Example
    """The example of the pool with the most similar input; its output may differ."""
    cosine: float
    """Similarity of the inputs; 1 if they are the same, ignoring white space and case."""


def find_leaks(pool: ExamplePool, examples: Iterable[Example], cosine: float = 0.95) -> list[Leak]:
    """Return the examples of a test split whose input, or a near-duplicate, is in a pool.

    Args:
        pool: pool to check.
        examples: examples of the test split; their labels are ignored.
        cosine: minimum cosine of near-duplicates; inputs that differ only in punctuation and symbols count in
            any case. An input longer than the embedder's window leaks if one of its parts does.

    Returns:
        The leaks, in the order of ``examples``, at most one for each of them.

    Raises:
        ExamplePoolError: if the pool is empty.
    """
    if not len(pool):
        raise ExamplePoolError("The pool is empty.", "Add examples: pool.add([...])")
    leaks: list[Leak] = []
    source = iter(examples)
    while batch := list(islice(source, _AT_ONCE)):
        leaks += _leaks(pool, [example for example in batch if example.input.strip()], cosine)
    return leaks


def _leaks(pool: ExamplePool, batch: list[Example], cosine: float) -> list[Leak]:
    index = pool.index
    origins = [origin_of(example.input) for example in batch]
    same = {info.origin: info for info in index.documents(Field("origin").in_(dict.fromkeys(origins)))}
    embedder = index.embedder
    parts = [parts_of(index, example.input) for example in batch]
    vectors = iter(embedder.embed([part for several in parts for part in several], "document"))
    leaks = []
    for example, origin, several in zip(batch, origins, parts, strict=True):
        own = [next(vectors) for _ in several]
        if origin in same:
            leaks.append(Leak(example, pool.example(same[origin]), 1.0))
            continue
        with index.snapshot(embedder.model_id):
            found = [index.search_vectors(vector, _NEAREST) for vector in own]
            near = {int(key): float(score) for keys, scores in found for key, score in zip(keys, scores, strict=True)}
            order = sorted((key for key in near if near[key] >= min(cosine, ALIKE)), key=lambda key: (-near[key], key))
            rows = index.chunks(order)
        for chunk, info in rows:
            if near[chunk.key] >= cosine or letters(chunk.text) == letters(example.input):
                leaks.append(Leak(example, pool.example(info, chunk), min(near[chunk.key], 1.0)))
                break
    return leaks
