"""The ways to do a classification task, each fitted to examples and measured on held-out ones."""

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
from ragkit.tuning.embedder_training import EmbedderOptions
from ragkit.tuning.head import HeadClassifier
from ragkit.tuning.head_fit import HeadOptions

if TYPE_CHECKING:
    from ragkit.embedding import Embedder

WAYS = ("neighbours", "examples", "head", "tuned-head", "lora")
"""``neighbours``: votes and probe, no language model. ``examples``: a model that is shown examples chosen for each
input. ``head``: on the embedder as it is. ``tuned-head``: on the embedder fine-tuned, where that gains. ``lora``: a
model tuned on the labels as replies."""
_NAME = "advised"
_EPOCHS = 10.0
"""Of ``lora``; replies are a few tokens, and its minutes end it sooner."""
_PASSES = 3
"""Over the held-out part, of ways that ask no language model."""
_MANY = 10
"""With fewer examples a label than this a head needs a larger share of them to choose by."""

Predict = Callable[[Sequence[str]], tuple[list[str | None], str]]
"""Takes inputs and gives their labels, None for one that could not be read, and a remark."""


@dataclass(frozen=True, slots=True)
class Means:
    """What the ways may use."""

    model: ChatModel | None = None
    """Of ``examples``."""
    embedder: str = "default"
    calls: int = 200
    """Of the model, for each fit of ``examples``."""
    head_seconds: float = 60.0
    """For each fit of ``tuned-head``."""
    lora_minutes: float | None = None
    """For each fit of ``lora``."""
    base: str = "default"
    """That ``lora`` tunes."""
    threads: int = 0
    """Of the model that ``lora`` tunes, when it answers; 0 for all cores."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.calls < 0 or self.head_seconds <= 0 or (self.lora_minutes is not None and self.lora_minutes <= 0):
            raise SettingsError(
                f"{self.calls} calls, {self.head_seconds} seconds for a tuned head and {self.lora_minutes} minutes for "
                "a LoRA can't be.",
                "Give 0 calls or more, and more than 0 seconds and minutes.",
            )

    def of(self, way: str) -> list[object]:
        """Return what a way's results depend on beside the examples."""
        depends: dict[str, list[object]] = {
            "neighbours": [self.embedder],
            "examples": [self.embedder, self.model and self.model.name, self.calls],
            "head": [self.embedder],
            "tuned-head": [self.embedder, self.head_seconds],
            "lora": [self.base, self.lora_minutes, _EPOCHS],
        }
        return depends[way]


@dataclass(frozen=True, slots=True)
class Measured:
    """One way, fitted to some examples."""

    right: tuple[bool, ...]
    """Of each held-out example in its order."""
    fit_seconds: float
    predict_seconds: float
    """For all held-out examples; of a way without a language model the least of three passes."""
    dollars: float | None
    """For all of them; None where the price is not known."""
    note: str


def measure(
    way: str,
    folder: Path,
    train: Sequence[Example],
    held_out: Sequence[Example],
    means: Means,
    progress: ProgressCallback | None = None,
) -> Measured:
    """Fit a way in a folder, and ask it about what was held out.

    Args:
        way: of ``WAYS``.
        folder: need not be there yet.
        train: to learn from.
        held_out: to measure on.
        means: that may be used.
        progress: called as work goes on.

    Raises:
        RagkitError: if the way can't be fitted; see ``Classifier.fit``, ``HeadClassifier.fit`` and ``tune_sft``.
    """
    meter = _Metered(means.model) if means.model is not None else None
    ways: dict[str, Callable[[], AbstractContextManager[Predict]]] = {
        "neighbours": lambda: _classifier(folder, train, None, means, progress),
        "examples": lambda: _classifier(folder, train, meter and meter.asked, means, progress),
        "head": lambda: _head(folder, train, means, progress, tune=False),
        "tuned-head": lambda: _head(folder, train, means, progress, tune=True),
        "lora": lambda: _lora(folder, train, held_out[0], means, progress),
    }
    begun = time.perf_counter()
    with _quiet(), ways[way]() as predict:
        fitted = time.perf_counter() - begun
        # What is loaded when first asked is no part of an input's time.
        predict([train[0].input])
        before, seconds = meter.cost if meter else 0.0, []
        # Other work on the machine makes a quick pass slow: the least of several is nearest to what it takes.
        for _ in range(1 if way in ("examples", "lora") else _PASSES):
            begun = time.perf_counter()
            labels, note = predict([example.input for example in held_out])
            seconds.append(time.perf_counter() - begun)
        after = meter.cost if meter else 0.0
    right = tuple(label == example.output for label, example in zip(labels, held_out, strict=True))
    dollars = 0.0 if way != "examples" else None if after is None or before is None else after - before
    return Measured(right, fitted, min(seconds), dollars, note)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep scikit-learn from wondering at labels with one example each, of which small sizes have many."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes")
        yield


@contextmanager
def _classifier(
    folder: Path, train: Sequence[Example], model: ChatModel | None, means: Means, progress: ProgressCallback | None
) -> Iterator[Predict]:
    options = ClassifierOptions(llm_mode="none" if model is None else "uncertain")
    budget = FitBudget(calls=means.calls if model is not None else 0, seed=means.seed)
    embedder: Embedder | str | None = None if means.embedder == "default" else means.embedder
    with Classifier.fit(
        folder, train, model=model, options=options, budget=budget, embedder=embedder, progress=progress
    ) as task:

        def predict(inputs: Sequence[str]) -> tuple[list[str | None], str]:
            found = task.predict(inputs, progress=progress)
            read = sum(one.used_llm for one in found) / len(found)
            return [one.label for one in found], f"the model read {read:.0%}" if model is not None else ""

        yield predict


@contextmanager
def _head(
    folder: Path, train: Sequence[Example], means: Means, progress: ProgressCallback | None, *, tune: bool
) -> Iterator[Predict]:
    labels = len({example.output for example in train})
    share = 0.1 if len(train) >= _MANY * labels else 0.3
    tuning = EmbedderOptions(seconds=means.head_seconds, seed=means.seed)
    options = HeadOptions(tune=tune, embedder=means.embedder, tuning=tuning, held_out=share, seed=means.seed)
    made = HeadClassifier.fit(folder, train, options=options, progress=progress)
    kept = {"tuned": "the tuned embedder was kept", "frozen": "tuning was not shown to gain, so it was not kept"}
    note = kept["tuned" if made.settings.tuned else "frozen"] if tune else ""

    def predict(inputs: Sequence[str]) -> tuple[list[str | None], str]:
        return [one.label for one in made.predict(inputs, progress=progress)], note

    yield predict


@contextmanager
def _lora(
    folder: Path, train: Sequence[Example], other: Example, means: Means, progress: ProgressCallback | None
) -> Iterator[Predict]:
    from ragkit.tuning.sft import SftOptions, tune_sft

    labels = sorted({example.output for example in train})
    names = ClassifierOptions(labels=tuple(labels))
    template = ShotTemplate()
    replies = [names.name(label) for label in labels]
    records, others = (
        [TuningRecord(tuple(template.messages([], row.input)), names.name(row.output), row.input) for row in rows]
        for rows in (train, [other])
    )
    # tune_sft measures what a model writes; here nothing but labels can come out, so that one record is enough for it.
    options = SftOptions(
        epochs=_EPOCHS,
        minutes=means.lora_minutes,
        metric="exact",
        max_eval_samples=1,
        threads=means.threads,
        seed=means.seed,
    )
    tune_sft(_NAME, records, others, options, base=means.base, folder=folder, progress=progress)
    model = tuned_model(f"{_NAME}@1", folder, threads=means.threads)

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
    """A model whose cost is added up, where it can tell it."""

    def __init__(self, model: ChatModel) -> None:
        self._usage = Usage(cost=0.0)
        self._local = isinstance(model, LlamaCppModel)
        self._model = model
        # Scores come without a usage; through this class they would not come at all.
        self.asked: ChatModel = model if isinstance(model, ScoringModel) else self
        self._counts = self.asked is self

    @property
    def cost(self) -> float | None:
        """US dollars so far; None where they are not known."""
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
