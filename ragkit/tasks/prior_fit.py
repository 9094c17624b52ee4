"""The prior of a label without an LLM: the neighbours' vote and a linear probe."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ragkit.embedding import Vectors
from ragkit.examples import DynamicSelector, ExamplePool, SelectorOptions, Shot
from ragkit.examples.pool import OUTPUT
from ragkit.records import Example
from ragkit.tasks.calibration import Scores
from ragkit.tasks.probe import LinearProbe
from ragkit.tasks.votes import Searcher, VoteOptions, Weights, vote, without_model

_MOST = 20_000
"""Maximum number of examples that a probe is fitted to; larger pools are sampled at random."""
_LEFT_OUT = 0.1
"""Maximum fraction of the examples in a cross-validation fold of the probe."""
_STRENGTHS = (10.0, 50.0)
_STEPS = np.arange(0.0, 2.01, 0.25)


@dataclass(frozen=True, slots=True)
class PriorFit:
    """Held-out predictions without the LLM: leave-one-out votes and a cross-validated probe."""

    vote: VoteOptions
    weights: Weights
    probe: LinearProbe | None
    prior: Scores
    """Probability of each label, ``[held out, labels]``."""
    vote_accuracy: float
    probe_accuracy: float | None


def fit_prior(
    pool: ExamplePool, labels: Sequence[str], start: VoteOptions, held_out: Sequence[Example], seed: int
) -> PriorFit:
    """Choose the vote's options, fit a probe, and weight the two by held-out likelihood.

    Args:
        pool: pool of the examples.
        labels: all labels.
        start: vote options that are not chosen here.
        held_out: examples of the pool to evaluate on.
        seed: random seed.
    """
    gold = np.array([labels.index(example.output) for example in held_out])
    found_by, asked = _neighbours(pool, held_out)
    options, shares = _vote(found_by, labels, start, gold)
    vectors, numbers, inputs = _known(pool, labels, seed)
    found: tuple[float, Weights, float | None, Scores | None] | None = None
    for strength in (None, *_STRENGTHS):
        probed = (
            None if strength is None else _left_out(vectors, numbers, inputs, held_out, asked, len(labels), strength)
        )
        if strength is not None and probed is None:
            continue
        for neighbours, probe in product(_STEPS, _STEPS if probed is not None else [0.0]):
            weights = Weights(neighbours=float(neighbours), probe=float(probe))
            loss = _loss(without_model(shares, probed, weights), gold)
            # A tie goes to the simpler option.
            if found is None or loss < found[0] - 1e-3:
                found = loss, weights, strength, probed
    assert found is not None
    _, weights, strength, probed = found
    probe_accuracy = None if probed is None else float((probed.argmax(axis=1) == gold).mean())
    whole = LinearProbe.fit(vectors, numbers, len(labels), strength) if strength is not None else None
    prior = without_model(shares, probed, weights)
    return PriorFit(options, weights, whole, prior, float((shares.argmax(axis=1) == gold).mean()), probe_accuracy)


def _neighbours(pool: ExamplePool, held_out: Sequence[Example]) -> tuple[dict[Searcher, list[list[Shot]]], Vectors]:
    """Return what each searcher finds for each held-out example, and the vectors of their inputs, ``[held out, d]``."""
    ways: tuple[Searcher, ...] = ("dense", "hybrid")
    selectors = {by: DynamicSelector(pool, SelectorOptions(by=by, order="best_first")) for by in ways}
    found: dict[Searcher, list[list[Shot]]] = {by: [] for by in ways}
    vectors = []
    # Input by input: the embedder keeps the vector of the last text, so each is embedded once.
    for example in held_out:
        for by, selector in selectors.items():
            found[by].append(selector.select(example.input, 40))
        vectors.append(selectors["dense"].search.asked(example.input).vector)
    return found, np.array(vectors)


def _vote(
    found_by: Mapping[Searcher, list[list[Shot]]], labels: Sequence[str], start: VoteOptions, gold: NDArray[np.int64]
) -> tuple[VoteOptions, Scores]:
    best: tuple[float, VoteOptions, Scores] | None = None
    for by, found in found_by.items():
        for neighbours, sharpness in product((5, 10, 20, 40), (0.0, 5.0, 10.0, 20.0, 40.0)):
            options = VoteOptions(by, neighbours, sharpness, start.smoothing)
            shares = np.array([vote(shots, labels, options) for shots in found])
            loss = _loss(shares, gold)
            if best is None or loss < best[0] - 1e-3:
                best = loss, options, shares
    assert best is not None
    return best[1], best[2]


def _known(pool: ExamplePool, labels: Sequence[str], seed: int) -> tuple[Vectors, list[int], list[str]]:
    """Return the vectors, label indices and inputs of the pool's examples, or of a sample of a large pool."""
    place = {label: number for number, label in enumerate(labels)}
    outputs = {info.id: str(info.metadata[OUTPUT]) for info in pool.index.documents()}
    chunks = [c for c in pool.index.each_chunk() if c.ordinal == 0 and outputs.get(c.document_id) in place]
    if len(chunks) > _MOST:
        chunks = random.Random(seed).sample(chunks, _MOST)  # noqa: S311
    numbers = [place[outputs[chunk.document_id]] for chunk in chunks]
    return pool.index.vectors(chunks), numbers, [chunk.text for chunk in chunks]


def _left_out(
    vectors: Vectors,
    numbers: Sequence[int],
    inputs: Sequence[str],
    held_out: Sequence[Example],
    asked: Vectors,
    count: int,
    strength: float,
) -> Scores | None:
    """Return cross-validated log-probabilities of the held-out examples, ``[held out, labels]``.

    None if a training fold has fewer than two labels.
    """
    groups = math.ceil(len(held_out) / max(1.0, _LEFT_OUT * len(inputs)))
    found = np.zeros((len(held_out), count))
    for group in range(groups):
        own = list(range(group, len(held_out), groups))
        hidden = {held_out[number].input for number in own}
        kept = [number for number, text in enumerate(inputs) if text not in hidden]
        labels = [numbers[number] for number in kept]
        if len(set(labels)) < 2:
            return None
        probe = LinearProbe.fit(vectors[kept], labels, count, strength)
        found[own] = probe.log_probabilities(asked[own])
    return found


def _loss(probabilities: Scores, gold: NDArray[np.int64]) -> float:
    return -float(np.log(np.maximum(probabilities[np.arange(len(gold)), gold], 1e-12)).mean())
