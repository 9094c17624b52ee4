"""A reward model without a language model: a linear model of signals and embeddings, fitted to preferences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from ragkit._files import write_atomically
from ragkit._progress import Progress, ProgressCallback
from ragkit.embedding import open_embedder
from ragkit.errors import ExamplePoolError, TaskError
from ragkit.tuning.rewards.features import NAMES, Features, Floats

if TYPE_CHECKING:
    from ragkit.embedding import Embedder
    from ragkit.tuning.rewards.rankings import Prompt, Ranking

LIGHT = "reward.json"
_STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_VECTORS = (0.0, 0.3, 1.0)
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class LightFit:
    """Settings chosen by cross-validation over prompts."""

    strength: float
    """Inverse of the regularisation strength."""
    vectors: float
    """Weight of the embeddings relative to the signals; 0 for none."""
    loss: float
    """Cross-validated loss per pair, in nats; random guessing has 0.693."""
    accuracy: float
    """Cross-validated accuracy over pairs."""


class LightReward:
    """A linear score of an answer, fitted by pairwise logistic regression (Bradley and Terry, Biometrika 1952).

    ``1 / (1 + exp(b - a))`` is the probability that the answer with score ``a`` is preferred to the one with ``b``.
    Create it with ``fit``, and open it again with ``open``.

    Args:
        embedder: embedder of questions and answers.
        weights: float64 ``[features]``.
        fitted: settings of the fit.
    """

    def __init__(self, embedder: Embedder, weights: Floats, fitted: LightFit) -> None:
        self.name = "light reward"
        self.fitted = fitted
        self._features = Features(embedder)
        self._weights = weights

    @classmethod
    def fit(
        cls,
        rankings: Sequence[Ranking],
        embedder: Embedder | None = None,
        *,
        seed: int = 0,
        progress: ProgressCallback | None = None,
    ) -> Self:
        """Fit to rankings.

        Args:
            rankings: rankings of at least five prompts.
            embedder: embedder of questions and answers; by default the default one.
            seed: random seed of the folds.
            progress: called with a ``Progress`` after each step.

        Raises:
            ExamplePoolError: if there are too few prompts.
        """
        features = Features(embedder or open_embedder())
        numbers: dict[tuple[object, ...], list[int]] = {}
        for number, one in enumerate(rankings):
            numbers.setdefault(one.messages, []).append(number)
        if len(numbers) < _FOLDS:
            raise ExamplePoolError(
                f"The rankings have {len(numbers)} distinct prompts.",
                f"Add rankings: at least {_FOLDS} prompts are needed.",
            )
        rows = np.zeros((len(rankings), features.count))
        for done, own in enumerate(numbers.values(), 1):
            answers = list(dict.fromkeys(text for n in own for text in (rankings[n].chosen, rankings[n].rejected)))
            found = dict(zip(answers, features.of(rankings[own[0]].prompt, answers), strict=True))
            for n in own:
                rows[n] = found[rankings[n].chosen] - found[rankings[n].rejected]
            if progress is not None:
                progress(Progress("reading", done, len(numbers)))
        folds = np.zeros(len(rankings), dtype=np.int64)
        for place, group in enumerate(np.random.default_rng(seed).permutation(len(numbers))):
            folds[list(numbers.values())[int(group)]] = place % _FOLDS
        chosen = _chosen(rows, folds, progress)
        return cls(features.embedder, _fitted(rows, chosen.strength, chosen.vectors), chosen)

    @property
    def embedder(self) -> Embedder:
        """Embedder of questions and answers."""
        return self._features.embedder

    def score(self, prompt: Prompt, answers: Sequence[str]) -> Floats:
        """Return a score for each answer, float64 ``[answers]``; scores of different prompts are not comparable."""
        if not answers:
            return np.zeros(0)
        scores: Floats = self._features.of(prompt, answers) @ self._weights
        return scores

    @property
    def signals(self) -> dict[str, float]:
        """Weight of each signal."""
        return dict(zip(NAMES, self._weights[: len(NAMES)].tolist(), strict=True))

    def save(self, folder: Path) -> None:
        """Write it into a folder, atomically."""
        saved = _Saved(
            format="ragkit light reward 1",
            embedder=self._features.embedder.model_id,
            signals=NAMES,
            weights=self._weights.tolist(),
            fitted=self.fitted,
        )
        write_atomically(folder / LIGHT, saved.model_dump_json().encode())

    @classmethod
    def open(cls, folder: Path, embedder: Embedder | None = None) -> Self:
        """Open it from a folder.

        Raises:
            TaskError: if it is missing or damaged, or was fitted with another embedder or other signals.
        """
        file = folder / LIGHT
        try:
            saved = _Saved.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            told = str(error).splitlines()[0]
            raise TaskError(f"{file} can't be read: {told}.", "Train it again: ragkit tune reward") from error
        own = embedder or open_embedder()
        made = cls(own, np.array(saved.weights), saved.fitted)
        if saved.embedder != own.model_id or saved.signals != NAMES or made._weights.shape != (made._features.count,):
            raise TaskError(
                f"{file} was fitted with other signals or the embedder {saved.embedder}, got {own.model_id}.",
                "Open it with that embedder, or train it again: ragkit tune reward",
            )
        return made


class _Saved(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal["ragkit light reward 1"]
    embedder: str
    signals: tuple[str, ...]
    weights: list[FiniteFloat]
    fitted: LightFit


def _chosen(rows: Floats, folds: NDArray[np.int64], progress: ProgressCallback | None) -> LightFit:
    """Return the settings with the lowest cross-validated loss."""
    best: LightFit | None = None
    tried = [(strength, vectors) for strength in _STRENGTHS for vectors in _VECTORS]
    for done, (strength, vectors) in enumerate(tried, 1):
        margins = np.zeros(len(rows))
        for fold in np.unique(folds):
            out = folds == fold
            margins[out] = rows[out] @ _fitted(rows[~out], strength, vectors)
        loss = float(np.logaddexp(0, -margins).mean())
        if best is None or loss < best.loss:
            best = LightFit(strength, vectors, loss, float(((margins > 0) + 0.5 * (margins == 0)).mean()))
        if progress is not None:
            progress(Progress("fitting", done, len(tried)))
    assert best is not None
    return best


def _fitted(rows: Floats, strength: float, vectors: float) -> Floats:
    """Fit weights by pairwise logistic regression.

    Args:
        rows: features of the better answer minus those of the worse, ``[pairs, features]``.
        strength: inverse of the regularisation strength.
        vectors: scale of the embedding columns.
    """
    from sklearn.linear_model import LogisticRegression

    signals = len(NAMES)
    # Differences are symmetric, so they are not centred.
    size = np.sqrt((rows**2).mean(axis=0))
    scale = np.where(size > 0, 1 / np.maximum(size, 1e-9), 0.0)
    # All embedding columns have the same scale, such that together they weigh as much as one signal.
    scale[signals:] = vectors / max(float(np.sqrt((rows[:, signals:] ** 2).sum(axis=1).mean())), 1e-9)
    used = rows * scale if vectors else (rows * scale)[:, :signals]
    # Every other pair is negated, because the regression needs both classes; without an intercept, this is equivalent.
    way = np.where(np.arange(len(used)) % 2, -1, 1)
    model = LogisticRegression(C=strength, fit_intercept=False, max_iter=500).fit(used * way[:, None], way)
    weights = np.zeros(rows.shape[1])
    weights[: used.shape[1]] = model.coef_[0]
    return weights * scale
