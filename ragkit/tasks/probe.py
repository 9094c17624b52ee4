"""Linear probe on the vectors of the examples; it complements the neighbours' vote."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ragkit._files import write_atomically
from ragkit._stats import log_softmax
from ragkit.embedding import Vectors
from ragkit.errors import TaskError
from ragkit.tasks.calibration import Scores

FILE_NAME = "probe.npz"
_ABSENT = -20.0
"""Log-odds of a label without examples."""


class LinearProbe:
    """Multinomial logistic regression.

    Args:
        weights: float64 ``[labels, d]``.
        bias: float64 ``[labels]``.
    """

    def __init__(self, weights: Scores, bias: Scores) -> None:
        self._weights = weights
        self._bias = bias

    @classmethod
    def fit(cls, vectors: Vectors, labels: Sequence[int], count: int, strength: float = 10.0) -> LinearProbe:
        """Fit a probe with scikit-learn.

        Args:
            vectors: vectors of the examples, ``[n, d]``.
            labels: indices of their labels, at least two distinct ones.
            count: number of labels.
            strength: inverse of the regularisation strength.
        """
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression(C=strength, max_iter=300).fit(vectors, np.asarray(labels))
        weights, bias = np.zeros((count, vectors.shape[1])), np.full(count, _ABSENT)
        if len(fitted.classes_) == 2:
            # For two classes, scikit-learn stores only the difference.
            weights[fitted.classes_[1]], bias[fitted.classes_] = fitted.coef_[0], [0.0, fitted.intercept_[0]]
        else:
            weights[fitted.classes_], bias[fitted.classes_] = fitted.coef_, fitted.intercept_
        return cls(weights, bias)

    def log_probabilities(self, vectors: NDArray[np.float32]) -> Scores:
        """Return natural log-probabilities, ``[n, labels]``, for vectors ``[n, d]``."""
        return log_softmax(vectors.astype(np.float64) @ self._weights.T + self._bias)

    def save(self, folder: Path) -> None:
        """Write the probe into a task's folder, atomically."""
        content = BytesIO()
        np.savez(content, weights=self._weights, bias=self._bias)
        write_atomically(folder / FILE_NAME, content.getvalue())

    @classmethod
    def open(cls, folder: Path, labels: int, dimension: int) -> LinearProbe:
        """Open a task's probe.

        Raises:
            TaskError: if it is missing or damaged, or was fitted to other labels or vectors.
        """
        file = folder / FILE_NAME
        try:
            with np.load(file, allow_pickle=False) as found:
                weights, bias = found["weights"], found["bias"]
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise TaskError(f"{file} can't be read: {error}.", "Fit the task again; its pool is kept.") from error
        if weights.shape != (labels, dimension) or bias.shape != (labels,):
            raise TaskError(
                f"{file} is for {weights.shape[0]} labels and {weights.shape[-1]} dimensions; the task has {labels} "
                f"labels and its pool {dimension} dimensions.",
                "Fit the task again; its pool is kept.",
            )
        return cls(weights, bias)
