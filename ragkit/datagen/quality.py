"""A classifier for good text, after phi-1 (Gunasekar et al. 2023, https://arxiv.org/abs/2306.11644).

It uses a text's vector and a dozen cheap features. It learns from labels of a person or a model, or from bad text that
is made from good text. The file is JSON.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ragkit._files import write_atomically
from ragkit.chunking.sentences import sentence_spans
from ragkit.datagen.planted_text import planted
from ragkit.datagen.quality_features import FEATURES, features
from ragkit.datagen.text_statistics import CharacterModel, WordOrder
from ragkit.errors import DataError, SettingsError

if TYPE_CHECKING:
    from ragkit.embedding import Embedder

MIN_TEXTS: Final = 20
"""Good texts, and bad ones, that are needed."""
_FORMAT: Final = "ragkit quality 1"
_FOLDS: Final = 5
_PART: Final = 600
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class QualityCard:
    """Training data of a quality filter, and its accuracy on held-out texts."""

    taught_by: str
    """``labels`` or ``planted``."""
    good: int
    bad: int
    auroc: float
    """AUROC by cross-validation; all texts made from one text are in the same fold."""
    precision: float
    """Share of good texts among the kept ones if as many good as bad ones come in, by cross-validation."""
    kept: float
    """Share of the good texts that are kept, by cross-validation, at the threshold."""


class QualityFilter:
    """Scores texts from 0 (bad) to 1 (good).

    Args:
        characters: learned from good texts.
        order: learned from good texts.
        weights: weights of the standardised features and the vector's components, with the intercept last.
        mean: means of the inputs.
        scale: scales of the inputs.
        threshold: minimum score of a kept text.
        model_id: embedding model of the vectors.
        card: its training data and accuracy.
    """

    def __init__(
        self,
        characters: CharacterModel,
        order: WordOrder,
        weights: _Floats,
        mean: _Floats,
        scale: _Floats,
        threshold: float,
        model_id: str,
        card: QualityCard,
    ) -> None:
        self._characters, self._order = characters, order
        self._weights, self._mean, self._scale = weights, mean, scale
        self.threshold = threshold
        self.model_id = model_id
        self.card = card

    def scores(self, texts: Sequence[str], embedder: Embedder) -> _Floats:
        """Return the score of each text, 0 to 1.

        Args:
            texts: documents, chunks or replies.
            embedder: the embedding model that the filter was fitted with.

        Raises:
            DataError: if the filter was fitted with another embedding model.
        """
        if embedder.model_id != self.model_id:
            raise DataError(
                f"The quality filter was fitted with the embedding model {self.model_id}, got {embedder.model_id}.",
                "Fit it again: ragkit data quality fit",
            )
        if not texts:
            return np.zeros(0)
        inputs = _inputs(texts, embedder, self._characters, self._order)
        return _sigmoid(((inputs - self._mean) / self._scale) @ self._weights[:-1] + self._weights[-1])

    def save(self, path: str | Path) -> None:
        """Write the filter as JSON.

        Raises:
            DataError: if the file can't be written.
        """
        data = {
            "format": _FORMAT,
            "features": list(FEATURES),
            "model_id": self.model_id,
            "threshold": self.threshold,
            "card": {name: getattr(self.card, name) for name in QualityCard.__slots__},
            "weights": self._weights.tolist(),
            "mean": self._mean.tolist(),
            "scale": self._scale.tolist(),
            "characters": self._characters.to_dict(),
            "order": self._order.to_dict(),
        }
        try:
            write_atomically(Path(path), json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        except OSError as error:
            raise DataError(f"{path} can't be written: {error}.", "Name another file.") from error

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a filter that ``save`` wrote.

        Raises:
            DataError: if the file can't be read or is not a quality filter.
        """
        try:
            data: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8", errors="surrogatepass"))
            if data["format"] != _FORMAT or data["features"] != list(FEATURES):
                raise ValueError(f"its format is {data['format']!r}")
            weights, mean, scale = (np.array(data[name], dtype=np.float64) for name in ("weights", "mean", "scale"))
            if not len(weights) == len(mean) + 1 == len(scale) + 1:
                raise ValueError("the numbers of weights differ")
            order = WordOrder(data["order"]["words"], data["order"]["pairs"])
            card = QualityCard(**data["card"])
            return cls(
                CharacterModel(data["characters"]),
                order,
                weights,
                mean,
                scale,
                data["threshold"],
                data["model_id"],
                card,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path} is not a quality filter: {error}.", "Make one: ragkit data quality fit DOCS -o quality.json"
            ) from error


def fit_quality(
    good: Sequence[str], embedder: Embedder, bad: Sequence[str] | None = None, precision: float = 0.95, seed: int = 0
) -> QualityFilter:
    """Fit a filter.

    Args:
        good: good texts, at least 20; for example the user's own documents.
        embedder: gives the vectors.
        bad: bad texts, at least 20. None to make five kinds of bad text from the good ones.
        precision: wanted share of good texts among the kept ones, 0 to 1, if as many good as bad ones come in; sets the
            threshold.
        seed: random seed of the bad text and of the folds.

    Raises:
        DataError: if there are too few texts.
        SettingsError: if ``precision`` is not between 0 and 1.
    """
    if not 0 < precision < 1:
        raise SettingsError(f"precision must be between 0 and 1, got {precision}.", "Use the default: 0.95.")
    for kind, texts in (("good", good), ("bad", bad)):
        if texts is not None and len(texts) < MIN_TEXTS:
            raise DataError(
                f"Fitting needs at least {MIN_TEXTS} {kind} texts, got {len(texts)}.",
                f"Add {kind} texts of any length.",
            )
    rng = random.Random(seed)  # noqa: S311  # reproducible, not secret
    groups = list(range(len(good)))
    negatives: list[str] = []
    if bad is None:
        for number, text in enumerate(good):
            made = planted(text, rng)
            negatives += made.values()
            groups += [number] * len(made)
    else:
        negatives = list(bad)
        groups += range(len(good), len(good) + len(bad))
    texts = [*good, *negatives]
    labels = np.array([True] * len(good) + [False] * len(negatives))
    folds = np.array([_fold_of(group, seed) for group in groups])
    characters, order = CharacterModel.learned(good), WordOrder.learned(good)
    # A text's features must not come from statistics that were learned from the text itself.
    inputs = np.zeros((len(texts), len(FEATURES) + embedder.dimension))
    for fold in range(_FOLDS):
        own = np.flatnonzero(folds == fold)
        others = [text for text, one in zip(good, folds, strict=False) if one != fold]
        if len(own):
            without = CharacterModel.learned(others), WordOrder.learned(others)
            inputs[own] = _inputs([texts[number] for number in own], embedder, *without)
    mean, scale = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-6)
    standard = (inputs - mean) / scale
    held_out = np.zeros(len(texts))
    for fold in np.unique(folds):
        own = folds == fold
        held_out[own] = _sigmoid(_with_intercept(standard[own]) @ _fitted(standard[~own], labels[~own]))
    threshold = _threshold(held_out, labels, precision)
    kept = held_out >= threshold
    card = QualityCard(
        "planted" if bad is None else "labels",
        len(good),
        len(negatives),
        _auroc(held_out, labels),
        float(kept[labels].mean() / max(kept[labels].mean() + kept[~labels].mean(), 1e-12)),
        float(kept[labels].mean()),
    )
    weights = _fitted(standard, labels)
    return QualityFilter(characters, order, weights, mean, scale, threshold, embedder.model_id, card)


def text_parts(text: str) -> list[str]:
    """Return the parts of a document that are scored: at least 600 characters each, cut where sentences end."""
    parts, start = [], 0
    ends = [end for _, end in sentence_spans(text)] or [len(text)]
    for end in ends:
        if end - start >= _PART or end == ends[-1]:
            if text[start:end].strip():
                parts.append(text[start:end].strip())
            start = end
    return parts


def _fold_of(group: int, seed: int) -> int:
    """Return the fold of a group of texts; it does not depend on the other groups."""
    return random.Random(f"{seed}/{group}").randrange(_FOLDS)  # noqa: S311


def _inputs(texts: Sequence[str], embedder: Embedder, characters: CharacterModel, order: WordOrder) -> _Floats:
    # As queries, texts may be longer than the model's window.
    shape = np.stack([features(text, characters, order) for text in texts])
    return np.concatenate([shape, embedder.embed(list(texts), "query").astype(np.float64)], axis=1)


def _fitted(inputs: _Floats, labels: NDArray[np.bool_]) -> _Floats:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000).fit(inputs, labels)
    return np.append(model.coef_[0], model.intercept_[0])


def _with_intercept(inputs: _Floats) -> _Floats:
    return np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)


def _threshold(scores: _Floats, labels: NDArray[np.bool_], precision: float) -> float:
    """Return the lowest score from which on the wanted share is good, with both classes weighted alike."""
    order = np.argsort(-scores, kind="stable")
    good = np.cumsum(labels[order]) / max(labels.sum(), 1)
    bad = np.cumsum(~labels[order]) / max((~labels).sum(), 1)
    pure = np.flatnonzero(good >= precision * (good + bad))
    return round(float(scores[order][pure[-1]]), 6) if len(pure) else 1.0


def _auroc(scores: _Floats, labels: NDArray[np.bool_]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


def _sigmoid(values: _Floats) -> _Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -50, 50))))
