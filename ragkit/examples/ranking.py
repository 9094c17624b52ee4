"""A light ranker of examples, trained on the gain of each for a model: ridge regression on pairs, in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import ExamplePoolError
from ragkit.examples.signals import SIGNALS, Candidates, Floats

_RIDGES = (0.003, 0.03, 0.3, 3.0)
_AXES = (0, 8, 32)
_FOLDS = 5
_FEWEST = 5
_FIRST = 4
_SHARPNESS = 0.5
_HELPED_PRIOR = 2.0
_OUTPUT_PRIOR = 5.0


@dataclass(frozen=True, slots=True)
class RankerReport:
    """Ranking quality on candidates that were not used for training, by cross-validation over the queries."""

    queries: int
    """Number of queries with different gains; only these can be learned from."""
    gains: int
    """Number of candidates with a measured gain."""
    correlation_before: float
    """Spearman correlation of the candidates' own scores with the gains, mean over the queries."""
    correlation_after: float
    """Spearman correlation of the ranker's scores with the gains."""
    gain_before: float
    """Mean gain of the first four candidates, in the unit of the gains, usually nats."""
    gain_after: float
    """Mean gain of the four candidates that the ranker puts first."""
    gain_best: float
    """Mean gain of the four best candidates, which a perfect ranker would reach."""


@dataclass(frozen=True, slots=True)
class Ranker:
    """Scores candidates by their expected gain; created by ``train``."""

    weights: Floats
    """Weights of the signals, then of the axes, ``[len(SIGNALS) + axes]``."""
    centre: Floats
    """Mean vector of the candidates, ``[d]``."""
    axes: Floats
    """Orthonormal axes, ``[axes, d]``: input and candidate are multiplied axis by axis, a bilinear form of low rank."""
    helped: Mapping[str, float] = field(default_factory=dict)
    """Mean gain by document id, relative to the others and shrunk towards 0 if it was seen few times."""
    output_helped: Mapping[str, float] = field(default_factory=dict)

    def scores(self, candidates: Candidates) -> tuple[Floats, Floats]:
        """Return a score for each candidate, ``[n]``, and its parts in the order of ``NAMES``, ``[n, len(NAMES)]``.

        They are relative to the other candidates: scores and parts have a mean of 0.
        """
        given = [
            [self.helped.get(key, 0.0) for key in candidates.keys],
            [self.output_helped.get(key, 0.0) for key in candidates.outputs],
        ]
        products = _products(candidates, self.centre, self.axes)
        rows = np.column_stack([candidates.signals, np.array(given).T, products])
        weighed = (rows - rows.mean(axis=0)) * self.weights
        vectors = weighed[:, len(SIGNALS) :].sum(axis=1)
        return weighed.sum(axis=1), np.column_stack([weighed[:, : len(SIGNALS)], vectors])


def train(trials: Sequence[tuple[Candidates, Floats]], seed: int = 0) -> tuple[Ranker, RankerReport]:
    """Train a ranker.

    The loss is the squared error of the difference of two candidates of one query, over all pairs: the ridge regression
    of centred targets on centred signals. A target is ``exp((gain - best gain) / width)`` where the width is half the
    usual deviation of a query's gains: on Banking77, the first four gained more with this target than with the raw
    gains. The ridge strength and the number of axes are chosen by cross-validation over the queries, inside the
    training part of the report's own cross-validation.

    Args:
        trials: a query's candidates and the gain of each, ``[n]``; one that is NaN is left out.
        seed: random seed of the division into parts.

    Raises:
        ExamplePoolError: if fewer than 5 queries have gains that differ.
    """
    table = _Table(trials)
    if table.groups < _FEWEST:
        raise ExamplePoolError(
            f"Only {table.groups} of {len(trials)} queries have gains that differ; a ranker needs {_FEWEST}.",
            "Ask for more queries=... or candidates=..., or add examples to the pool.",
        )
    folds = np.random.default_rng(seed).permutation(table.groups) % _FOLDS
    every = np.ones(table.groups, dtype=bool)
    after = np.zeros(len(table.rows))
    for fold in range(_FOLDS):
        within = folds != fold
        ridge, axes = table.best_settings(within, seed)
        held = ~within[table.group]
        after[held] = table.predicted(within, ridge, axes)[held]
    report = RankerReport(
        table.groups,
        len(table.rows),
        table.correlation(table.before, every),
        table.correlation(after, every),
        table.first_gain(table.before),
        table.first_gain(after),
        table.first_gain(table.gains),
    )
    return table.ranker(*table.best_settings(every, seed)), report


class _Table:
    """All trials as rows, so that a fit is a few products of matrices."""

    def __init__(self, trials: Sequence[tuple[Candidates, Floats]]) -> None:
        kept: list[tuple[Candidates, Floats]] = []
        for candidates, gains in trials:
            known = np.flatnonzero(np.isfinite(gains))
            if len(known) > 1 and float(np.std(gains[known])) > 1e-9:
                kept.append((candidates.some(known.tolist()), gains[known]))
        self.groups = len(kept)
        if not kept:
            return
        self.gains = np.concatenate([gains for _, gains in kept])
        self.group = np.repeat(np.arange(len(kept)), [len(gains) for _, gains in kept])
        # Near the best it matters who is better; far below it one is as useless as the other.
        width = _SHARPNESS * float(np.mean([gains.std() for _, gains in kept]))
        shares = [np.exp((gains - gains.max()) / width) for _, gains in kept]
        self.target = np.concatenate([share - share.mean() for share in shares])
        self.keys, self.item = np.unique([key for c, _ in kept for key in c.keys], return_inverse=True)
        self.outputs, self.output = np.unique([key for c, _ in kept for key in c.outputs], return_inverse=True)
        self.before = np.concatenate([c.signals[:, SIGNALS.index("candidate_score")] for c, _ in kept])
        # Candidates come best first: of equal scores the first is before the second.
        self.before = self.before - 1e-9 * np.arange(len(self.before))
        vectors = np.vstack([c.vectors for c, _ in kept])
        self.centre = vectors.mean(axis=0)
        spread = vectors - self.centre
        # Axes from the candidates' vectors alone: no gain is seen, so that held-out queries stay held out.
        self.axes = np.linalg.eigh(spread.T @ spread)[1][:, ::-1][:, : max(_AXES)].T
        products = np.vstack([_products(c, self.centre, self.axes) for c, _ in kept])
        self.rows = np.column_stack([np.vstack([c.signals for c, _ in kept]), np.zeros((len(products), 2)), products])
        self._gain_ranks = self._ranks(self.gains)
        self.weight = 1 / np.bincount(self.group)[self.group]

    def best_settings(self, within: NDArray[np.bool_], seed: int) -> tuple[float, int]:
        """Return the ridge and the number of axes that do best by cross-validation over some of the queries."""
        numbers = np.flatnonzero(within)
        parts = np.full(self.groups, -1)
        parts[numbers] = np.random.default_rng(seed + 1).permutation(len(numbers)) % min(_FOLDS, len(numbers))
        sums: dict[tuple[float, int], float] = {}
        for part in range(min(_FOLDS, len(numbers))):
            learned, tried = within & (parts != part), parts == part
            for axes in _AXES:
                rows = self._rows(learned, axes)
                for ridge in _RIDGES:
                    scores = rows @ self._solved(rows, learned, ridge)
                    sums[ridge, axes] = sums.get((ridge, axes), 0.0) + self.correlation(scores, tried)
        return max(sums, key=lambda setting: sums[setting])

    def predicted(self, within: NDArray[np.bool_], ridge: float, axes: int) -> Floats:
        """Return the scores of all rows by rankers trained on the other queries."""
        rows = self._rows(within, axes)
        scores: Floats = rows @ self._solved(rows, within, ridge)
        return scores

    def ranker(self, ridge: float, axes: int) -> Ranker:
        """Return the ranker trained on all queries."""
        every = np.ones(self.groups, dtype=bool)
        rows = self._rows(every, axes)
        helped = self._means(self.item, len(self.keys), _HELPED_PRIOR)
        output_helped = self._means(self.output, len(self.outputs), _OUTPUT_PRIOR)
        return Ranker(
            self._solved(rows, every, ridge),
            self.centre,
            # In the order in memory that a saved one has: sums are then the same to the last bit.
            np.ascontiguousarray(self.axes[:axes]),
            dict(zip(self.keys.tolist(), helped.tolist(), strict=True)),
            dict(zip(self.outputs.tolist(), output_helped.tolist(), strict=True)),
        )

    def correlation(self, scores: Floats, within: NDArray[np.bool_]) -> float:
        """Return Spearman's rank correlation of scores with gains, the mean over some of the queries."""
        left, right = self._ranks(scores), self._gain_ranks
        products, left_squares, right_squares = (
            np.bincount(self.group, values) for values in (left * right, left**2, right**2)
        )
        found = products / np.sqrt(np.maximum(left_squares * right_squares, 1e-12))
        return float(found[within].mean())

    def first_gain(self, scores: Floats) -> float:
        """Return the mean gain of each query's candidates with the highest scores."""
        firsts = [
            self.gains[self.group == n][np.argsort(-scores[self.group == n], kind="stable")[:_FIRST]].mean()
            for n in range(self.groups)
        ]
        return float(np.mean(firsts))

    def _ranks(self, values: Floats) -> Floats:
        """Return the rank of each value among those of its query, less the mean rank; equal values share theirs."""
        order = np.lexsort((values, self.group))
        group, ordered = self.group[order], values[order]
        new = np.ones(len(order), dtype=bool)
        new[1:] = (group[1:] != group[:-1]) | (ordered[1:] != ordered[:-1])
        run = np.cumsum(new) - 1
        shared = np.bincount(run, np.arange(len(order))) / np.bincount(run)
        ranks = np.empty(len(order))
        ranks[order] = shared[run]
        means = np.bincount(self.group, ranks) / np.bincount(self.group)
        return ranks - means[self.group]

    def _rows(self, learned: NDArray[np.bool_], axes: int) -> Floats:
        """Return the signals with each example's gains on the training queries, excluding a query's own gains."""
        rows = self.rows[:, : len(SIGNALS) + axes].copy()
        seen = learned[self.group]
        rows[:, len(SIGNALS) - 2] = self._others(self.item, seen, _HELPED_PRIOR)
        rows[:, len(SIGNALS) - 1] = self._others(self.output, seen, _OUTPUT_PRIOR)
        return rows

    def _others(self, keys: NDArray[np.int64], seen: NDArray[np.bool_], prior: float) -> Floats:
        sums, counts = np.bincount(keys, self.target * seen), np.bincount(keys, seen)
        pairs, own = np.unique(keys * self.groups + self.group, return_inverse=True)
        own_sums = np.bincount(own, self.target * seen, len(pairs))[own]
        own_counts = np.bincount(own, seen, len(pairs))[own]
        found: Floats = (sums[keys] - own_sums) / (counts[keys] - own_counts + prior)
        return found

    def _means(self, keys: NDArray[np.int64], size: int, prior: float) -> Floats:
        found: Floats = np.bincount(keys, self.target, size) / (np.bincount(keys, minlength=size) + prior)
        return found

    def _solved(self, rows: Floats, learned: NDArray[np.bool_], ridge: float) -> Floats:
        """Return the weights of the signals as they are."""
        seen = learned[self.group]
        group, weight = self.group[seen], self.weight[seen]
        means = np.zeros((self.groups, rows.shape[1]))
        np.add.at(means, group, rows[seen] * weight[:, None])
        centred = rows[seen] - means[group]
        scale = np.sqrt((centred**2 * weight[:, None]).sum(axis=0) / max(1.0, weight.sum()))
        scale = np.where(scale > 1e-9, scale, np.inf)
        centred = centred / scale
        square = (centred * weight[:, None]).T @ centred
        square[np.diag_indices_from(square)] += ridge * weight.sum()
        solved: Floats = np.linalg.solve(square, (centred * weight[:, None]).T @ self.target[seen]) / scale
        return solved


def _products(candidates: Candidates, centre: Floats, axes: Floats) -> Floats:
    found: Floats = ((candidates.vector - centre) @ axes.T) * ((candidates.vectors - centre) @ axes.T)
    return found
