"""Classification by examples selected for each input, with a model constrained to the labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from ragkit._progress import Progress, ProgressCallback
from ragkit._stats import log_softmax
from ragkit.errors import PromptOverflowError, QueryError, SettingsError, TaskError
from ragkit.examples import DynamicSelector, ExamplePool, ExampleSelector, SelectorOptions, Shot
from ragkit.examples.pool import OUTPUT
from ragkit.indexing import Field
from ragkit.records import Example, Message
from ragkit.tasks.base import (
    POOL,
    Explanation,
    FitBudget,
    as_model,
    by_shared_beginning,
    close_model,
    filled_pool,
    read_task,
    write_task,
)
from ragkit.tasks.calibration import CONTENT_FREE, Scores, anchored, batch, contextual
from ragkit.tasks.classifier_options import ClassifierOptions
from ragkit.tasks.label_reader import LabelReader
from ragkit.tasks.probe import LinearProbe
from ragkit.tasks.shot_prompts import ShotSetting
from ragkit.tasks.shot_task import closed_on_error
from ragkit.tasks.votes import together, vote, without_model, worth_asking

if TYPE_CHECKING:
    from ragkit.embedding import Embedder
    from ragkit.models import ChatModel
    from ragkit.tasks.classifier_fit import ClassifierReport

KIND = "classifier"


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted label of an input."""

    label: str
    probability: float
    probabilities: Mapping[str, float]
    """Probability of each label, the most likely first."""
    used_llm: bool
    """Whether the LLM was called; otherwise, the neighbours and the probe decided."""
    shots: tuple[Shot, ...]
    """Examples in the prompt, or the neighbours that voted; the best last."""


@dataclass(frozen=True, slots=True)
class Look:
    """An input before the LLM is called."""

    text: str
    prior: Scores
    """Probabilities from the neighbours' vote and the probe, ``[labels]``."""
    neighbours: tuple[Shot, ...]
    shots: tuple[Shot, ...]
    asked: tuple[int, ...]
    """Indices of the labels that the LLM scores; empty if it is not called."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Evaluation of a classifier on labelled examples."""

    accuracy: float
    prior_accuracy: float
    """Accuracy without the LLM."""
    llm_share: float
    """Fraction of the inputs for which the LLM was called, 0 to 1."""
    count: int
    wrong: tuple[tuple[Example, Prediction], ...]


class Classifier:
    """Classifies inputs. Create it with ``fit``, and open it again with ``open``.

    The nearest examples of an input vote, together with a linear probe on its vector. If their confidence is low, the
    LLM is shown the best examples, and the most likely labels are scored as replies. All are combined into a
    probability of each label.

    Args:
        path: the task's folder.
        pool: pool of the examples.
        options: options of the classifier.
        model: a model or its name; by default the one in the options, opened when first used.
        selector: selector of the examples in the prompt, instead of the options' one.
        probe: linear probe; by default the one in the folder, if the options give it a weight.
    """

    def __init__(
        self,
        path: str | Path,
        pool: ExamplePool,
        options: ClassifierOptions,
        model: ChatModel | str | None = None,
        selector: ExampleSelector | None = None,
        probe: LinearProbe | None = None,
    ) -> None:
        labels = options.labels or tuple(sorted(pool.labels()))
        if len(labels) < 2:
            raise TaskError(
                f"A classifier needs 2 or more labels, got {len(labels)}: {', '.join(labels) or 'none'}.",
                "Add examples with other labels.",
            )
        self.path = Path(path)
        self.pool = pool
        self.options = replace(options, labels=labels, model=model if isinstance(model, str) else options.model)
        self.report: ClassifierReport | None = None
        if options.direction == "channel" and options.calibration != "none":
            raise SettingsError('Calibration is not supported with direction="channel".', 'Use calibration="none".')
        if probe is None and options.weights.probe:
            probe = LinearProbe.open(self.path, len(labels), pool.index.embedder.dimension)
        self.probe = probe
        self._given = model
        self._reader: LabelReader | None = None
        self._own = selector
        self._selectors: dict[bool, tuple[DynamicSelector, ExampleSelector | None]] = {}

    @classmethod
    def fit(
        cls,
        path: str | Path,
        examples: Iterable[Example] | ExamplePool,
        *,
        model: ChatModel | str | None = None,
        options: ClassifierOptions | None = None,
        settings: Sequence[ShotSetting] = (),
        budget: FitBudget | None = None,
        embedder: Embedder | str | None = None,
        progress: ProgressCallback | None = None,
    ) -> Self:
        """Fit a classifier: build its pool, and choose its options on held-out examples.

        Intermediate results are stored in the folder: if interrupted, the same call continues.

        Args:
            path: the task's folder; created if missing.
            examples: inputs with their labels.
            model: a model or its name; by default that of the options.
            options: initial options.
            settings: candidate settings; by default several with 4, 8 or 16 examples.
            budget: maximum number of model calls.
            embedder: embedder of a new pool.
            progress: called with a ``Progress`` after each call.

        Raises:
            TaskError: if there are no examples, or all have one label.
        """
        from ragkit.tasks.classifier_fit import fit_options

        pool, added = filled_pool(path, examples, embedder)
        with closed_on_error(pool):
            start, spent = options or ClassifierOptions(), budget or FitBudget()
            found, report = fit_options(Path(path), pool, model, start, settings, spent, progress)
            made = cls(path, pool, found, model)
            made.report = replace(report, added=added)
            made.save()
            return made

    @classmethod
    def open(
        cls, path: str | Path, model: ChatModel | str | None = None, *, selector: ExampleSelector | None = None
    ) -> Self:
        """Open a fitted classifier.

        Raises:
            TaskError: if the folder contains no classifier.
        """
        options = read_task(path, KIND, ClassifierOptions)
        pool = ExamplePool.open(Path(path) / POOL)
        with closed_on_error(pool):
            return cls(path, pool, options, model, selector)

    def save(self, path: str | Path | None = None) -> None:
        """Write the task to its folder, or copy it with its examples to another folder."""
        folder = self.path if path is None else Path(path).expanduser()
        if folder.resolve() != self.path.resolve():
            pool, _ = filled_pool(folder, self.pool)
            pool.close()
            if self.probe is not None:
                self.probe.save(folder)
        write_task(folder, KIND, self.options)

    def close(self) -> None:
        """Close the pool, and the model if it was opened by name."""
        self.pool.close()
        if self._reader is not None and self._reader.model is not self._given:
            close_model(self._reader.model)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def _known(self) -> frozenset[str]:
        """Labels with examples."""
        return frozenset(self.pool.labels())

    @property
    def reader(self) -> LabelReader:
        """Scores labels with the model, which is opened on first use."""
        if self._reader is None:
            model = as_model(self._given, self.options.model)
            names = {label: self.options.name(label) for label in self.options.labels}
            self._reader = LabelReader(model, self.options.setting.template, names)
        return self._reader

    def predict(
        self, inputs: Sequence[str], *, exclude_self: bool = False, progress: ProgressCallback | None = None
    ) -> list[Prediction]:
        """Return a prediction for each input.

        Equal inputs are predicted once, and prompts are ordered by common prefix. The prompt of a long input has fewer
        examples; if the input does not fit the model's window alone, the neighbours decide.

        Args:
            inputs: texts.
            exclude_self: whether to exclude duplicates and near-duplicates of the input (leakage guard).
            progress: called with a ``Progress`` after each step.

        Raises:
            QueryError: if an input is empty; the model was not called.
        """
        found = self._predicted(inputs, exclude_self, progress)
        return [found[text][1] for text in inputs]

    def explain(self, text: str) -> Explanation:
        """Return the examples, the prompt (with ``direction="channel"``, that of the label) and the probabilities."""
        look = self.look(text)
        scores, shots = self._llm_scores(look)
        prediction = self._prediction(look, scores, shots)
        prompt = self.prompts(text, [prediction.label], shots)[0] if prediction.used_llm else []
        return Explanation(text, prediction.shots, tuple(prompt), prediction.probabilities)

    def evaluate(self, examples: Sequence[Example], *, progress: ProgressCallback | None = None) -> Evaluation:
        """Evaluate on held-out examples, with the leakage guard on.

        Raises:
            TaskError: if there are no examples.
        """
        if not examples:
            raise TaskError("There are no examples to evaluate on.", "Pass at least one.")
        found = self._predicted([example.input for example in examples], True, progress)
        pairs = [(example, found[example.input][1]) for example in examples]
        before = [self.options.labels[int(found[e.input][0].prior.argmax())] == e.output for e in examples]
        return Evaluation(
            float(np.mean([p.label == e.output for e, p in pairs])),
            float(np.mean(before)),
            float(np.mean([p.used_llm for _, p in pairs])),
            len(examples),
            tuple((e, p) for e, p in pairs if p.label != e.output),
        )

    def _predicted(
        self, inputs: Sequence[str], exclude_self: bool, progress: ProgressCallback | None
    ) -> dict[str, tuple[Look, Prediction]]:
        """Return the prior without the LLM and the prediction of each distinct input."""
        for number, text in enumerate(inputs, 1):
            if not text.strip():
                raise QueryError(f"Input {number} is empty.", "Remove it, or pass its text.")
        looks = {text: self.look(text, exclude_self=exclude_self) for text in dict.fromkeys(inputs)}
        done: dict[str, tuple[Look, Prediction]] = {}
        unread = [look for look in looks.values() if not look.asked]
        read = [look for look in looks.values() if look.asked]
        prompts = [self.prompts(look.text, [self.options.labels[look.asked[0]]], look.shots)[0] for look in read]
        for look in [*unread, *(read[number] for number in by_shared_beginning(prompts))]:
            scores, shots = self._llm_scores(look)
            done[look.text] = look, self._prediction(look, scores, shots)
            if progress is not None:
                progress(Progress("predict", len(done), len(looks)))
        return done

    def look(self, text: str, *, exclude_self: bool = False, prior: Scores | None = None) -> Look:
        """Return the neighbours and probabilities of an input without the LLM.

        Args:
            text: the input.
            exclude_self: whether the leakage guard is on.
            prior: probabilities of the labels; by default from votes and probe.
        """
        options, labels = self.options, self.options.labels
        neighbours_of, shots_of = self._selectors_for(exclude_self)
        neighbours = neighbours_of.select(text, max(options.vote.neighbours, options.setting.k))
        if prior is None:
            vector = neighbours_of.search.asked(text).vector
            probed = None if self.probe is None else self.probe.log_probabilities(vector[None])[0]
            prior = without_model(vote(neighbours, labels, options.vote), probed, options.weights)
        if options.llm_mode == "none" or (options.llm_mode == "uncertain" and prior.max() >= options.confidence):
            return Look(text, prior, tuple(neighbours), (), ())
        asked = worth_asking(prior, options.candidates)
        shots: Sequence[Shot] = ()
        if options.setting.k and options.direction == "channel":
            shots = [
                shot for number in asked for shot in self._of_label(text, labels[number], neighbours, exclude_self)
            ]
        elif options.setting.k and shots_of is None:
            shots = neighbours[: options.setting.k][::-1]
        elif options.setting.k and shots_of is not None:
            shots = shots_of.select(text, options.setting.k)
        return Look(text, prior, tuple(neighbours), tuple(shots), asked)

    def _of_label(self, text: str, label: str, neighbours: Sequence[Shot], exclude_self: bool) -> list[Shot]:
        """Return the nearest examples of a label, the nearest last."""
        k = self.options.setting.k
        found = [shot for shot in neighbours if shot.example.output == label][:k]
        if len(found) < k and label in self._known:
            selector = DynamicSelector(
                self.pool, replace(self.options.setting.selector, exclude_self=exclude_self), Field(OUTPUT) == label
            )
            return selector.select(text, k)
        return found[::-1]

    def _selectors_for(self, exclude_self: bool) -> tuple[DynamicSelector, ExampleSelector | None]:
        if exclude_self not in self._selectors:
            nearest = SelectorOptions(by=self.options.vote.by, order="best_first", exclude_self=exclude_self)
            wanted = replace(self.options.setting.selector, exclude_self=exclude_self)
            shots = self._own
            if shots is None and wanted != replace(nearest, order="best_last"):
                shots = DynamicSelector(self.pool, wanted)
            self._selectors[exclude_self] = DynamicSelector(self.pool, nearest), shots
        return self._selectors[exclude_self]

    def _llm_scores(self, look: Look) -> tuple[Scores | None, tuple[Shot, ...]]:
        """Return the model's log-probabilities of the candidate labels, and the examples in the prompt."""
        shots = look.shots
        while look.asked:
            try:
                return self.scores(look, shots), shots
            except PromptOverflowError:
                if not shots:
                    break
                # The best examples are last; in the channel direction, the last of each label.
                shots = shots[1::2] if self.options.direction == "channel" else shots[(len(shots) + 1) // 2 :]
        return None, shots

    def scores(self, look: Look, shots: Sequence[Shot]) -> Scores:
        """Return the model's calibrated log-probabilities of the candidate labels, ``[asked]``."""
        options = self.options
        labels = [options.labels[number] for number in look.asked]
        prompts = self.prompts(look.text, labels, shots)
        if options.direction == "channel":
            return log_softmax(self.reader.likelihoods(look.text, prompts))
        raw = self.reader.scores(prompts[0], labels)
        if options.calibration == "contextual":
            free = [self.reader.scores(self.prompts(text, labels, shots)[0], labels) for text in CONTENT_FREE]
            return contextual(raw, np.array(free))
        if options.calibration == "batch":
            return batch(raw, np.array([options.bias.get(label, np.nan) for label in labels]))
        if options.calibration == "knn":
            return anchored(raw, labels, options.anchors)
        return log_softmax(raw)

    def prompts(self, text: str, labels: Sequence[str], shots: Sequence[Shot]) -> list[list[Message]]:
        """Return the prompts: one, or with ``direction="channel"`` one for each label."""
        if self.options.direction == "direct":
            return [self.reader.prompt([shot.example for shot in shots], text)]
        return [
            self.reader.channel_prompt([shot.example for shot in shots if shot.example.output == label], label)
            for label in labels
        ]

    def _prediction(self, look: Look, scores: Scores | None, shots: tuple[Shot, ...]) -> Prediction:
        labels = self.options.labels
        shares = together(look.prior, look.asked, scores, self.options.weights)
        order = np.argsort(-shares, kind="stable")
        return Prediction(
            labels[int(order[0])],
            float(shares[order[0]]),
            {labels[int(number)]: float(shares[number]) for number in order},
            scores is not None,
            look.neighbours[: self.options.vote.neighbours][::-1] if scores is None else shots,
        )
