"""Classes by transfer learning: a head on an embedder's vectors, and the embedder fine-tuned where that gains."""

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
    from ragkit.tuning.head_fit import HeadOptions, HeadReport

KIND = "head"
TUNED = "embedder"
"""The folder of a tuned embedder within a head's version."""
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """What a head's folder keeps beside its weights."""

    labels: tuple[str, ...]
    version: str
    """The folder within the head's folder that holds the weights."""
    embedder: str
    """The model that the vectors are from; ``embedder`` in the version's folder where it was tuned."""
    tuned: bool
    temperature: float = 1.0
    """Log-probabilities are divided by it, so that they are as sure as they are right."""
    strength: float = 10.0
    """The inverse of the regularisation of the head."""


class HeadClassifier:
    """Puts inputs into classes by their vectors alone. Make one with ``fit``, take it up again with ``open``.

    Args:
        path: its folder.
        settings: what the folder keeps.
        embedder: gives the vectors.
        probe: the head on them.
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
        """Make a head: on the frozen embedder, and on the embedder fine-tuned where that is shown to gain.

        A part of the examples is held out to choose and to compare. What the folder held before stays in use unless a
        paired bootstrap on these shows that the new one is better; ``report`` says which it was. In the end the head,
        not the embedder, is fitted to the held-out examples too. Interrupted, the same call goes on with the last
        checkpoint.

        Args:
            path: the folder to live in; made where there is none.
            examples: inputs with their labels.
            evaluation: a test split; examples that stand in it, or nearly, are not learned from.
            options: how.
            progress: called with a ``Progress`` as work goes on.

        Raises:
            TaskError: if there are too few examples, or all have one label.
        """
        from ragkit.tuning.head_fit import HeadOptions, fit_head

        report = fit_head(Path(path), examples, evaluation, options or HeadOptions(), progress)
        made = cls.open(path)
        made.report = report
        return made

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a head that was fitted.

        Raises:
            TaskError: if the folder holds none, or is damaged.
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
        """Write the head to another folder."""
        folder = Path(path).expanduser()
        if folder.resolve() == self.path.resolve():
            return
        shutil.copytree(self.path / self.settings.version, folder / self.settings.version, dirs_exist_ok=True)
        for file in self.path.iterdir():
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
        write_task(folder, KIND, self.settings)

    def predict(self, inputs: Sequence[str], *, progress: ProgressCallback | None = None) -> list[Prediction]:
        """Return a prediction for each input; one that is longer than the embedder's window is read in parts.

        Args:
            inputs: texts.
            progress: called with a ``Progress`` as work goes on.

        Raises:
            QueryError: if an input is empty; nothing was predicted then.
        """
        for number, text in enumerate(inputs, 1):
            if not text.strip():
                raise QueryError(f"Input {number} is empty.", "Leave it out, or give its text.")
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
        """Return the share of examples that are put into their class.

        Raises:
            TaskError: if there are no examples.
        """
        if not examples:
            raise TaskError("There are no examples to evaluate on.", "Give some.")
        found = self.predict([example.input for example in examples])
        return sum(one.label == example.output for one, example in zip(found, examples, strict=True)) / len(found)


def cooled(logs: Scores, temperature: float) -> Scores:
    """Return log-probabilities, less sure where the temperature is above 1, ``[n, labels]``."""
    return log_softmax(logs / temperature)


def _prediction(shares: Scores, labels: Sequence[str]) -> Prediction:
    order = np.argsort(-shares, kind="stable")
    probabilities = {labels[int(number)]: float(shares[number]) for number in order}
    label = labels[int(order[0])]
    return Prediction(label, probabilities[label], probabilities, used_llm=False, shots=())
