"""The methods of classification: fitted to examples, and measured on held-out ones."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit._progress import Progress, ProgressCallback
from ragkit.errors import PromptOverflowError, SettingsError
from ragkit.models import ChatModel, ScoringModel
from ragkit.models.adapters import tuned_model
from ragkit.models.base import Delta, GenerationOptions
from ragkit.models.llama_cpp import LlamaCppModel
from ragkit.prompting import ShotTemplate
from ragkit.records import Example, Message, Usage
from ragkit.tasks import Classifier, ClassifierOptions, FitBudget
from ragkit.tuning.data import TuningRecord
from ragkit.tuning.embedders.training import EmbedderOptions
from ragkit.tuning.heads.classifier import HeadClassifier
from ragkit.tuning.heads.fit import HeadOptions

if TYPE_CHECKING:
    from ragkit.embedding import Embedder

METHODS = ("neighbours", "examples", "head", "tuned-head", "lora")
"""``neighbours``: votes and probe, no language model. ``examples``: a language model with few-shot prompts. ``head``:
a head on the frozen embedder. ``tuned-head``: a head on the fine-tuned embedder, if that improves accuracy. ``lora``:
a language model fine-tuned on the labels as replies."""
_NAME = "advised"
_EPOCHS = 10.0
"""Epochs of ``lora``; replies have few tokens, and the time limit usually ends training earlier."""
_PASSES = 3
"""Timed passes over the held-out part, for methods without a language model."""
_MANY = 10
"""Minimum number of examples per label for the usual validation fraction of a head; with fewer, it is larger."""

Predict = Callable[[Sequence[str]], tuple[list[str | None], str]]
"""Takes inputs; returns their labels, None for one that is too long, and a note."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Models and limits of the methods."""

    model: ChatModel | None = None
    """Model of ``examples``."""
    embedder: str = "default"
    max_calls: int = 200
    """Maximum model calls for each fit of ``examples``."""
    head_seconds: float = 60.0
    """Maximum training time for each fit of ``tuned-head``."""
    lora_minutes: float | None = None
    """Maximum training time for each fit of ``lora``."""
    base: str = "default"
    """Base model of ``lora``."""
    threads: int = 0
    """Threads of the model tuned by ``lora`` at prediction; 0 for all cores."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_calls < 0 or self.head_seconds <= 0 or (self.lora_minutes is not None and self.lora_minutes <= 0):
            raise SettingsError(
                f"max_calls must be >= 0, head_seconds > 0 and lora_minutes > 0, got max_calls={self.max_calls}, "
                f"head_seconds={self.head_seconds} and lora_minutes={self.lora_minutes}.",
                "Pass larger values.",
            )

    def of(self, method: str) -> list[object]:
        """Return what a method's results depend on besides the examples."""
        depends: dict[str, list[object]] = {
            "neighbours": [self.embedder],
            "examples": [self.embedder, self.model and self.model.name, self.max_calls],
            "head": [self.embedder],
            "tuned-head": [self.embedder, self.head_seconds],
            "lora": [self.base, self.lora_minutes, _EPOCHS],
        }
        return depends[method]


@dataclass(frozen=True, slots=True)
class Measured:
    """Measurements of a method with one training set size."""

    right: tuple[bool, ...]
    """Whether each held-out example is predicted correctly, in order."""
    fit_seconds: float
    predict_seconds: float
    """Time for all held-out examples; for a method without a language model, the minimum of three passes."""
    dollars: float | None
    """Cost of all held-out examples; None if the price is unknown."""
    note: str


def measure(
    method: str,
    folder: Path,
    train: Sequence[Example],
    held_out: Sequence[Example],
    resources: Resources,
    progress: ProgressCallback | None = None,
) -> Measured:
    """Fit a method in a folder, and predict the held-out examples.

    Args:
        method: one of ``METHODS``.
        folder: work folder; created if missing.
        train: training examples.
        held_out: held-out examples.
        resources: models and limits.
        progress: called after each step.

    Raises:
        RagkitError: if the method can't be fitted; see ``Classifier.fit``, ``HeadClassifier.fit`` and ``tune_sft``.
    """
    meter = _Metered(resources.model) if resources.model is not None else None
    methods: dict[str, Callable[[], AbstractContextManager[Predict]]] = {
        "neighbours": lambda: _classifier(folder, train, None, resources, progress),
        "examples": lambda: _classifier(folder, train, meter and meter.asked, resources, progress),
        "head": lambda: _head(folder, train, resources, progress, tune=False),
        "tuned-head": lambda: _head(folder, train, resources, progress, tune=True),
        "lora": lambda: _lora(folder, train, held_out[0], resources, progress),
    }
    begun = time.perf_counter()
    with _quiet(), methods[method]() as predict:
        fitted = time.perf_counter() - begun
        # Loading a model at first use is not part of the prediction time.
        predict([train[0].input])
        before, seconds = meter.cost if meter else 0.0, []
        # Other load on the machine slows down a pass: the minimum of several is closest to the actual time.
        for _ in range(1 if method in ("examples", "lora") else _PASSES):
            begun = time.perf_counter()
            labels, note = predict([example.input for example in held_out])
            seconds.append(time.perf_counter() - begun)
        after = meter.cost if meter else 0.0
    right = tuple(label == example.output for label, example in zip(labels, held_out, strict=True))
    dollars = 0.0 if method != "examples" else None if after is None or before is None else after - before
    return Measured(right, fitted, min(seconds), dollars, note)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress scikit-learn's warning about labels with one example, which is common with small sizes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes")
        yield


@contextmanager
def _classifier(
    folder: Path,
    train: Sequence[Example],
    model: ChatModel | None,
    resources: Resources,
    progress: ProgressCallback | None,
) -> Iterator[Predict]:
    options = ClassifierOptions(llm_mode="none" if model is None else "uncertain")
    budget = FitBudget(max_calls=resources.max_calls if model is not None else 0, seed=resources.seed)
    embedder: Embedder | str | None = None if resources.embedder == "default" else resources.embedder
    with Classifier.fit(
        folder, train, model=model, options=options, budget=budget, embedder=embedder, progress=progress
    ) as task:

        def predict(inputs: Sequence[str]) -> tuple[list[str | None], str]:
            found = task.predict(inputs, progress=progress)
            read = sum(one.used_llm for one in found) / len(found)
            return [one.label for one in found], f"the LLM was called for {read:.0%}" if model is not None else ""

        yield predict


@contextmanager
def _head(
    folder: Path, train: Sequence[Example], resources: Resources, progress: ProgressCallback | None, *, tune: bool
) -> Iterator[Predict]:
    labels = len({example.output for example in train})
    share = 0.1 if len(train) >= _MANY * labels else 0.3
    tuning = EmbedderOptions(seconds=resources.head_seconds, seed=resources.seed)
    options = HeadOptions(
        tune=tune, embedder=resources.embedder, tuning=tuning, val_fraction=share, seed=resources.seed
    )
    made = HeadClassifier.fit(folder, train, options=options, progress=progress)
    kept = {
        "tuned": "the fine-tuned embedder was kept",
        "frozen": "fine-tuning had no significant gain and was not kept",
    }
    note = kept["tuned" if made.settings.tuned else "frozen"] if tune else ""

    def predict(inputs: Sequence[str]) -> tuple[list[str | None], str]:
        return [one.label for one in made.predict(inputs, progress=progress)], note

    yield predict


@contextmanager
def _lora(
    folder: Path, train: Sequence[Example], other: Example, resources: Resources, progress: ProgressCallback | None
) -> Iterator[Predict]:
    from ragkit.tuning.lora.sft import SftOptions, tune_sft

    labels = sorted({example.output for example in train})
    names = ClassifierOptions(labels=tuple(labels))
    template = ShotTemplate()
    replies = [names.name(label) for label in labels]
    records, others = (
        [TuningRecord(tuple(template.messages([], row.input)), names.name(row.output), row.input) for row in rows]
        for rows in (train, [other])
    )
    # tune_sft measures free replies; here, replies are constrained to the labels, so one record is enough for it.
    options = SftOptions(
        epochs=_EPOCHS,
        minutes=resources.lora_minutes,
        metric="exact",
        max_eval_samples=1,
        threads=resources.threads,
        seed=resources.seed,
    )
    tune_sft(_NAME, records, others, options, base=resources.base, folder=folder, progress=progress)
    model = tuned_model(f"{_NAME}@1", folder, threads=resources.threads)

    def predict(inputs: Sequence[str]) -> tuple[list[str | None], str]:
        found: list[str | None] = []
        for text in inputs:
            try:
                found.append(labels[model.choose(template.messages([], text), replies).number])
            except PromptOverflowError:
                found.append(None)
            if progress is not None:
                progress(Progress("predict", len(found), len(inputs)))
        unread = found.count(None)
        return found, f"{unread} inputs were too long for the model" if unread else ""

    try:
        yield predict
    finally:
        model.close()


class _Metered:
    """Adds up the cost of a model's calls, if the model reports it."""

    def __init__(self, model: ChatModel) -> None:
        self._usage = Usage(cost=0.0)
        self._local = isinstance(model, LlamaCppModel)
        self._model = model
        # Scoring reports no usage, and this class does not support it.
        self.asked: ChatModel = model if isinstance(model, ScoringModel) else self
        self._counts = self.asked is self

    @property
    def cost(self) -> float | None:
        """US dollars so far; None if unknown."""
        return self._usage.cost if self._counts else 0.0 if self._local else None

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def window(self) -> int:
        return self._model.window

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self._model.count_tokens(messages)

    def stream(self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()) -> Iterator[Delta]:
        for delta in self._model.stream(messages, options):
            if delta.usage is not None:
                self._usage = self._usage + delta.usage
            yield delta
