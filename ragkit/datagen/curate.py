"""A few good and diverse rows of many, as in LIMA (Zhou et al. 2023, https://arxiv.org/abs/2305.11206).

Rows are clustered into topics by their vectors. Each topic gets a quota that grows with the cube root of its size, so
that frequent topics do not crowd out rare ones. Within a topic, rows are chosen greedily for quality and for facility
location: every row of the topic should have a chosen one that is similar to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import DataError, SettingsError

if TYPE_CHECKING:
    from ragkit.embedding.base import Vectors

_TEMPERATURE: Final = 3.0
"""Quotas are proportional to size ** (1 / 3), as LIMA samples Stack Exchange."""
_TOPIC_ROWS: Final = 64
"""Rows per topic, on average."""
_MAX_TOPICS: Final = 256
RANDOM_RUNS: Final = 3
_Floats = NDArray[np.float64]
_Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CurationOptions:
    """Options of row selection."""

    quality_weight: float = 0.5
    """0 for diversity alone, 1 for quality alone within each topic."""
    topics: int = 0
    """Number of topics; 0 for one per 64 rows."""
    seed: int = 0
    """Random seed of the clustering."""

    def __post_init__(self) -> None:
        if not 0 <= self.quality_weight <= 1:
            raise SettingsError(
                f"quality_weight must be between 0 and 1, got {self.quality_weight}.", "Use the default: 0.5."
            )
        if self.topics < 0:
            raise SettingsError(f"topics must be >= 0, got {self.topics}.", "Use 0 for the default.")


@dataclass(frozen=True, slots=True)
class SelectionMeasures:
    """Statistics of a selection of rows."""

    quality: float
    """Mean quality; NaN if the rows have none."""
    coverage: float
    """Mean over all rows of the cosine of the most similar chosen row; higher is more diverse."""
    redundancy: float
    """Mean cosine of each chosen row and the most similar other one; lower is more diverse."""
    topics: float
    """Topics with at least one chosen row."""
    words: float
    """Mean words of question and answer."""
    near_dev: float
    """Mean over the questions of the dev split of the cosine of the most similar chosen row; NaN without one."""


@dataclass(frozen=True, slots=True)
class Curation:
    """The chosen rows, and measures of other selections of the same size."""

    chosen: tuple[int, ...]
    """Indices of the chosen rows, in their order."""
    topic: tuple[int, ...]
    """Topic of each row of the input."""
    curated: SelectionMeasures
    random: SelectionMeasures
    """Mean of three random selections."""
    longest: SelectionMeasures


def curate(
    vectors: Vectors,
    lengths: Sequence[int],
    n: int,
    quality: Sequence[float] | None = None,
    dev: Vectors | None = None,
    options: CurationOptions = CurationOptions(),
) -> Curation:
    """Choose rows by quality and diversity.

    Args:
        vectors: unit vector of each row, ``[rows, dimension]``.
        lengths: words of each row.
        n: number of rows to choose.
        quality: score of each row, higher is better; only the order counts. None for diversity alone.
        dev: unit vectors of the questions of a dev split, for the measures.
        options: options of row selection.

    Raises:
        DataError: if there are no more than ``n`` rows.
        SettingsError: if ``n`` is less than 1, or the number of qualities differs from the number of rows.
    """
    total = len(vectors)
    if n < 1:
        raise SettingsError(f"The number of rows to choose must be >= 1, got {n}.", "Use a positive number.")
    if total <= n:
        raise DataError(f"There are {total} rows, and {n} are to be chosen.", "Choose fewer, or pass more rows.")
    if quality is not None and len(quality) != total:
        raise SettingsError(f"There are {len(quality)} qualities for {total} rows.", "Pass one quality per row.")
    topics = _topics(vectors, options)
    ranks = np.zeros(total) if quality is None else _ranks(np.asarray(quality, dtype=np.float64))
    weight = 0.0 if quality is None else options.quality_weight
    chosen: list[int] = []
    numbers = np.unique(topics)
    sizes = np.array([int((topics == one).sum()) for one in numbers])
    for one, quota in zip(numbers, _quotas(sizes, n), strict=True):
        rows = np.flatnonzero(topics == one)
        chosen += rows[_greedy(vectors[rows], ranks[rows], weight, quota)].tolist()
    chosen.sort()

    def measured(rows: Sequence[int]) -> SelectionMeasures:
        return _measures(vectors, lengths, quality, topics, dev, np.asarray(rows))

    random = np.random.default_rng(options.seed)
    runs = [measured(random.choice(total, n, replace=False).tolist()) for _ in range(RANDOM_RUNS)]
    mean = SelectionMeasures(*(float(np.mean([getattr(run, f) for run in runs])) for f in SelectionMeasures.__slots__))
    longest = np.argsort(-np.asarray(lengths), kind="stable")[:n]
    return Curation(tuple(chosen), tuple(topics.tolist()), measured(chosen), mean, measured(longest.tolist()))


def _topics(vectors: Vectors, options: CurationOptions) -> _Rows:
    from sklearn.cluster import MiniBatchKMeans

    wanted = options.topics or max(1, min(_MAX_TOPICS, len(vectors) // _TOPIC_ROWS))
    wanted = min(wanted, len(np.unique(vectors, axis=0)))
    if wanted == 1:
        return np.zeros(len(vectors), dtype=np.int64)
    found = MiniBatchKMeans(wanted, random_state=options.seed, n_init=3, batch_size=1024).fit_predict(vectors)
    return np.asarray(found, dtype=np.int64)


def _quotas(sizes: NDArray[np.int64], n: int) -> list[int]:
    """Return the rows to take from each topic: ``n`` together, and never more than it has."""
    weights = sizes ** (1 / _TEMPERATURE)
    quotas = np.zeros(len(sizes), dtype=np.int64)
    while (left := n - int(quotas.sum())) > 0:
        open_ = quotas < sizes
        shares = np.where(open_, weights, 0.0) * left / weights[open_].sum()
        step = np.minimum(np.floor(shares).astype(np.int64), sizes - quotas)
        if not step.any():
            # Fewer are left than topics: the largest remainders get one each.
            order = np.argsort(-np.where(open_, shares, -1.0), kind="stable")[:left]
            step[order] = 1
        quotas += step
    return [int(quota) for quota in quotas]


def _greedy(vectors: Vectors, quality: _Floats, weight: float, n: int) -> _Rows:
    """Return ``n`` rows with high quality that also represent the others."""
    similar = np.maximum(vectors @ vectors.T, 0.0).astype(np.float64)
    nearest = np.zeros(len(vectors))
    left = np.ones(len(vectors), dtype=bool)
    chosen: list[int] = []
    for _ in range(n):
        gain = np.maximum(similar, nearest).sum(axis=1) - nearest.sum()
        score = (1 - weight) * gain / max(float(gain[left].max()), 1e-12) + weight * quality
        best = int(np.where(left, score, -np.inf).argmax())
        chosen.append(best)
        left[best] = False
        nearest = np.maximum(nearest, similar[best])
    return np.array(chosen, dtype=np.int64)


def _ranks(quality: _Floats) -> _Floats:
    """Return the fraction of rows that are worse, so that the scale of the scores does not matter."""
    ordered = np.sort(quality)
    return np.searchsorted(ordered, quality, side="left") / max(len(quality) - 1, 1)


def _measures(
    vectors: Vectors,
    lengths: Sequence[int],
    quality: Sequence[float] | None,
    topics: _Rows,
    dev: Vectors | None,
    rows: _Rows,
) -> SelectionMeasures:
    own = vectors[rows]
    among = own @ own.T
    np.fill_diagonal(among, -1.0)
    return SelectionMeasures(
        quality=float("nan") if quality is None else float(np.asarray(quality)[rows].mean()),
        coverage=float((vectors @ own.T).max(axis=1).mean()),
        redundancy=float(among.max(axis=1).mean()) if len(rows) > 1 else 0.0,
        topics=float(len(np.unique(topics[rows]))),
        words=float(np.asarray(lengths)[rows].mean()),
        near_dev=float("nan") if dev is None else float((dev @ own.T).max(axis=1).mean()),
    )
