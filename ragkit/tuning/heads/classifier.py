"""Classification by transfer learning: a head on an embedder, which is fine-tuned if that improves accuracy."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from ragkit._progress import Progress, ProgressCallback
from ragkit._stats import log_softmax
from ragkit.embedding import open_embedder
from ragkit.errors import QueryError, TaskError
from ragkit.records import Example
from ragkit.tasks import Prediction
from ragkit.tasks.base import read_task, write_task
from ragkit.tasks.calibration import Scores
from ragkit.tasks.probe import LinearProbe

if TYPE_CHECKING:
    from ragkit.embedding import Embedder
    from ragkit.tuning.heads.fit import HeadOptions, HeadReport

KIND = "head"
TUNED = "embedder"
"""Folder of a fine-tuned embedder in a version of a head."""
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """Settings of a head, stored beside its weights."""

    labels: tuple[str, ...]
    version: str
    """Folder of the weights in the head's folder."""
    embedder: str
    """Embedding model; ``embedder`` in the version's folder if it was fine-tuned."""
    tuned: bool
    temperature: float = 1.0
    """Temperature that calibrates the probabilities: log-probabilities are divided by it."""
    strength: float = 10.0
    """Inverse of the regularisation strength."""


class HeadClassifier:
    """Classifies inputs by their vectors. Create it with ``fit``, and open it again with ``open``.

    Args:
        path: the head's folder.
        settings: settings of the head.
        embedder: embedder of the inputs.
        probe: linear head on the vectors.
    """

    def __init__(self, path: str | Path, settings: HeadSettings, embedder: Embedder, probe: LinearProbe) -> None:
        self.path = Path(path)
        self.settings = settings
        self.embedder = embedder
        self.report: HeadReport | None = None
        self._probe = probe

    @classmethod
    def fit(
        cls,
        path: str | Path,
        examples: Iterable[Example],
        *,
        evaluation: Sequence[Example] = (),
        options: HeadOptions | None = None,
        progress: ProgressCallback | None = None,
    ) -> Self:
        """Fit a head on the frozen embedder, or on a fine-tuned one if its gain is significant.

        Some examples are held out to compare candidates. An existing head in the folder is replaced only if the new one
        is significantly better by a paired bootstrap; see ``report``. Finally, the head, but not the embedder, is also
        fitted to the held-out examples. If interrupted, the same call continues from the last checkpoint.

        Args:
            path: the head's folder; created if missing.
            examples: inputs with their labels.
            evaluation: a test split; its near-duplicates are removed from the training data.
            options: options of the fit.
            progress: called with a ``Progress`` after each step.

        Raises:
            TaskError: if there are too few examples, or all have one label.
        """
        from ragkit.tuning.heads.fit import HeadOptions, fit_head

        report = fit_head(Path(path), examples, evaluation, options or HeadOptions(), progress)
        made = cls.open(path)
        made.report = report
        return made

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a fitted head.

        Raises:
            TaskError: if the folder contains no head, or is damaged.
        """
        folder = Path(path)
        settings: HeadSettings = read_task(folder, KIND, HeadSettings)
        version = folder / settings.version
        if version.resolve().parent != folder.resolve():
            raise TaskError(f"{folder} is damaged: its version is {settings.version!r}.", "Fit the head again.")
        embedder = open_embedder(version / TUNED if settings.tuned else settings.embedder)
        probe = LinearProbe.open(version, len(settings.labels), embedder.dimension)
        return cls(folder, settings, embedder, probe)

    def save(self, path: str | Path) -> None:
        """Copy the head to another folder."""
        folder = Path(path).expanduser()
        if folder.resolve() == self.path.resolve():
            return
        shutil.copytree(self.path / self.settings.version, folder / self.settings.version, dirs_exist_ok=True)
        for file in self.path.iterdir():
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
        write_task(folder, KIND, self.settings)

    def predict(self, inputs: Sequence[str], *, progress: ProgressCallback | None = None) -> list[Prediction]:
        """Return a prediction for each input; one that is longer than the embedder's window is embedded in parts.

        Args:
            inputs: texts.
            progress: called with a ``Progress`` after each step.

        Raises:
            QueryError: if an input is empty; nothing was predicted.
        """
        for number, text in enumerate(inputs, 1):
            if not text.strip():
                raise QueryError(f"Input {number} is empty.", "Remove it, or pass its text.")
        found: list[Prediction] = []
        for start in range(0, len(inputs), _AT_ONCE):
            batch = inputs[start : start + _AT_ONCE]
            vectors = self.embedder.embed(batch, "query")
            logs = cooled(self._probe.log_probabilities(vectors), self.settings.temperature)
            found += [_prediction(row, self.settings.labels) for row in np.exp(logs)]
            if progress is not None:
                progress(Progress("predict", len(found), len(inputs)))
        return found

    def accuracy(self, examples: Sequence[Example]) -> float:
        """Return the fraction of examples with the correct label.

        Raises:
            TaskError: if there are no examples.
        """
        if not examples:
            raise TaskError("There are no examples to evaluate on.", "Pass at least one.")
        found = self.predict([example.input for example in examples])
        return sum(one.label == example.output for one, example in zip(found, examples, strict=True)) / len(found)


def cooled(logs: Scores, temperature: float) -> Scores:
    """Return log-probabilities scaled by the temperature, ``[n, labels]``; above 1, they are less confident."""
    return log_softmax(logs / temperature)


def _prediction(shares: Scores, labels: Sequence[str]) -> Prediction:
    order = np.argsort(-shares, kind="stable")
    probabilities = {labels[int(number)]: float(shares[number]) for number in order}
    label = labels[int(order[0])]
    return Prediction(label, probabilities[label], probabilities, used_llm=False, shots=())
