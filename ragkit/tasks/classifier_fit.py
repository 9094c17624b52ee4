"""Chooses the options of a classifier on held-out examples, within a budget of model calls."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ragkit._progress import Progress, ProgressCallback
from ragkit._stats import log_softmax
from ragkit.errors import TaskError
from ragkit.examples import ExamplePool, SelectorOptions
from ragkit.examples.pool import PoolReport
from ragkit.models import ScoringModel
from ragkit.records import Example
from ragkit.tasks.base import FitBudget, as_model, close_model
from ragkit.tasks.calibration import Anchor, Calibration, Scores, batch
from ragkit.tasks.classifier import Classifier, Look
from ragkit.tasks.classifier_options import ClassifierOptions
from ragkit.tasks.fit_log import FitLog
from ragkit.tasks.fitting import FitReport, Trial, race
from ragkit.tasks.prior_fit import fit_prior
from ragkit.tasks.shot_prompts import ShotSetting
from ragkit.tasks.votes import Weights, together

if TYPE_CHECKING:
    from ragkit.models import ChatModel

_VOTERS = 600
"""Held-out examples for weighting votes and probe, which needs no model calls."""
_SURE = 0.99
"""The LLM is not called for inputs for which the prior has at least this accuracy."""
_FEW = 20
"""Weights are not fitted to fewer inputs than this."""
_HARDEST = 50
"""Minimum number of inputs on which settings are compared."""
_NEAR = 0.01
"""Settings whose losses differ by less than this, in nats, count as equal."""
_TRIES = 2
"""Minimum number of default settings to compare: one direct, one channel."""
_CALLS_OF_A_TRY = 100
"""Calls for each further setting: with few inputs per setting, the best of many is a matter of luck."""
_RACING = Weights(model=0.2)
"""Weights during successive halving."""
_MODEL = np.arange(0.0, 1.501, 0.05)
_PRIOR = np.arange(0.0, 2.01, 0.1)


@dataclass(frozen=True, slots=True)
class ClassifierReport:
    """Report of a fit."""

    vote_accuracy: float
    """Leave-one-out accuracy of the neighbours alone."""
    probe_accuracy: float | None
    """Held-out accuracy of the linear probe alone; None if it does not improve on the neighbours."""
    prior_accuracy: float
    """Accuracy of neighbours and probe together."""
    voters: int
    """Number of examples for these accuracies."""
    unsure: float
    """Fraction of them with low confidence."""
    race: FitReport[ClassifierOptions] | None = None
    """LLM settings, scored by the probability of the correct label on uncertain inputs; None if the LLM is never called
    or the budget is 0."""
    accuracy: float | None = None
    """Accuracy of the best setting on the examples of the comparison."""
    calls: int = 0
    added: PoolReport | None = None
    """Report on adding the examples."""


@dataclass(frozen=True, slots=True)
class _Read:
    look: Look
    scores: Scores
    gold: int


def fit_options(
    path: Path,
    pool: ExamplePool,
    model: ChatModel | str | None,
    start: ClassifierOptions,
    settings: Sequence[ShotSetting],
    budget: FitBudget,
    progress: ProgressCallback | None,
) -> tuple[ClassifierOptions, ClassifierReport]:
    """Return the best options and a report; see ``Classifier.fit``.

    First, votes and probe are weighted by leave-one-out likelihood, which needs no model calls. Then LLM settings are
    compared by successive halving on uncertain examples. Last, the weights are fitted to the model's scores.

    Raises:
        TaskError: if no example has a known label.
    """
    labels = start.labels or tuple(sorted(pool.labels()))
    name = model if isinstance(model, str) else getattr(model, "name", start.model)
    start = replace(start, labels=labels, model=name)
    drawn = _sample(pool, max(_VOTERS, budget.held_out), budget.seed)
    held_out = [example for example in drawn if example.output in labels]
    if len(labels) < 2 or not held_out:
        raise TaskError(
            f"A classifier needs 2 or more labels with examples, got {len(labels)} with {len(held_out)} examples.",
            "Add examples with other labels.",
        )
    known = fit_prior(pool, labels, start.vote, held_out, budget.seed)
    gold = np.array([labels.index(example.output) for example in held_out])
    right, tops = known.prior.argmax(axis=1) == gold, known.prior.max(axis=1)
    options = replace(start, vote=known.vote, confidence=_agreement(tops, right), weights=known.weights)
    if known.probe is not None:
        known.probe.save(path)
    unsure = int((tops < options.confidence).sum())
    report = ClassifierReport(
        known.vote_accuracy, known.probe_accuracy, float(right.mean()), len(held_out), unsure / len(held_out)
    )
    if options.llm_mode == "none" or not budget.max_calls:
        return options, report

    # If few are uncertain, those with the next lowest confidence are the most informative.
    order = (
        np.argsort(tops, kind="stable")[: max(unsure, _HARDEST)]
        if options.llm_mode == "uncertain"
        else range(len(tops))
    )
    dev = [held_out[number] for number in order][: budget.held_out]
    priors = {example.input: prior for example, prior in zip(held_out, known.prior, strict=True)}
    opened = as_model(model, start.model)
    read = _Reader(path, pool, opened, options, settings, priors, budget.max_calls)

    def report_progress(done: int, total: int) -> None:
        if progress is not None:
            progress(Progress("fit", done, total))

    raced = race(range(len(read.tries)), read, dev, budget.max_calls, budget.seed, report_progress)
    if not raced.calls:
        for done, example in enumerate(dev[: budget.max_calls], 1):
            read(raced.best, example)
            report_progress(done, min(len(dev), budget.max_calls))
    if opened is not model:
        close_model(opened)
    number = _likeliest(read.reads)
    best, seen = _finished(read.tries[number], read.reads[number])
    if best.llm_mode == "uncertain" and not best.weights.model:
        # The LLM would change no label, and take time.
        best = replace(best, llm_mode="none")
    won = [together(r.look.prior, r.look.asked, r.scores, best.weights).argmax() == r.gold for r in seen]
    trials = tuple(Trial(read.tries[trial.setting], trial.score, trial.tried) for trial in raced.trials)
    calls = sum(map(len, read.reads.values()))
    found = FitReport(best, trials, calls)
    return best, replace(report, race=found, accuracy=float(np.mean(won)), calls=calls)


def _usual_tries(options: ClassifierOptions, *, scores: bool) -> list[ClassifierOptions]:
    """Return default settings, those with the shortest prompts first.

    Args:
        options: options common to all.
        scores: whether the model returns the log-probabilities that the channel direction needs.
    """
    near = SelectorOptions(by=options.vote.by, exclude_self=False)
    turns = options.setting.template
    direct = [
        ShotSetting(near, 4, turns),
        ShotSetting(near, 8, turns),
        ShotSetting(replace(near, choice="mmr", candidates=50), 8, turns),
        ShotSetting(replace(near, order="best_first"), 8, turns),
        ShotSetting(near, 8, replace(turns, style="lines")),
        ShotSetting(near, 16, turns),
    ]
    tries = [replace(options, setting=setting) for setting in direct]
    if not scores or options.calibration != "none":
        return tries
    few = min(options.candidates, 4) or 4
    channel = [
        replace(options, direction="channel", candidates=few, setting=ShotSetting(near, k, turns)) for k in (3, 6)
    ]
    return [tries[0], *channel, *tries[1:]]


def _likeliest(reads: Mapping[int, Sequence[_Read]]) -> int:
    """Return the setting with the lowest loss among those with the most examples; a near tie goes to the first.

    If one has too few examples to fit weights, they can't be compared, and the first is returned.
    """
    longest = max(map(len, reads.values()))
    losses = {number: _fitted(seen, Weights())[0] for number, seen in sorted(reads.items()) if len(seen) == longest}
    known = {number: loss for number, loss in losses.items() if loss is not None}
    if len(known) < len(losses):
        return next(iter(losses))
    return next(number for number, loss in known.items() if loss <= min(known.values()) + _NEAR)


class _Reader:
    """Scores examples with the LLM under several settings, and stores the scores.

    The LLM is called for all inputs, and its scores are not calibrated: that is what is being measured.
    """

    def __init__(
        self,
        path: Path,
        pool: ExamplePool,
        model: ChatModel,
        options: ClassifierOptions,
        settings: Sequence[ShotSetting],
        priors: Mapping[str, Scores],
        calls: int,
    ) -> None:
        self._log = FitLog(path / "fit.jsonl")
        self.reads: dict[int, list[_Read]] = defaultdict(list)
        calibration: Calibration = "contextual" if options.calibration == "contextual" else "none"
        # The examples' priors are held out; the probe in the folder was fitted to them.
        plain = replace(options, llm_mode="all", calibration=calibration, weights=Weights())
        given = [replace(options, setting=setting) for setting in settings]
        usual = _usual_tries(options, scores=isinstance(model, ScoringModel))
        self.tries = given or usual[: max(_TRIES, calls // _CALLS_OF_A_TRY)]
        self._classifiers = [
            Classifier(
                path,
                pool,
                replace(plain, setting=one.setting, direction=one.direction, candidates=one.candidates),
                model,
            )
            for one in self.tries
        ]
        self._priors = priors

    def __call__(self, number: int, example: Example) -> float:
        """Return the probability of an example's label."""
        classifier = self._classifiers[number]
        options = classifier.options
        look = classifier.look(example.input, exclude_self=True, prior=self._priors[example.input])
        labels = [options.labels[place] for place in look.asked]
        prompts = classifier.prompts(example.input, labels, look.shots)
        said = [[[m.role, m.content] for m in prompt] for prompt in prompts]
        scores = self._log.kept(
            [options.model, options.direction, said, example.input, labels, options.calibration],
            lambda: classifier.scores(look, look.shots),
        )
        read = _Read(look, scores, options.labels.index(example.output))
        self.reads[number].append(read)
        return float(together(look.prior, look.asked, scores, _RACING)[read.gold])


def _agreement(tops: Scores, right: NDArray[np.bool_]) -> float:
    """Return the confidence at which the likeliest label is accurate enough; 1 if there is none."""
    order = np.argsort(-tops, kind="stable")
    accuracy = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(accuracy >= _SURE)
    return float(tops[order[enough[-1]]]) if len(enough) else 1.0


def _finished(options: ClassifierOptions, seen: Sequence[_Read]) -> tuple[ClassifierOptions, Sequence[_Read]]:
    """Return options with fitted weights and calibration, and the calibrated scores."""
    labels = options.labels
    if options.calibration == "knn":
        anchors = tuple(
            Anchor(labels[r.gold], {labels[n]: float(s) for n, s in zip(r.look.asked, r.scores, strict=True)})
            for r in seen
        )
        return replace(options, anchors=anchors), seen
    if options.calibration == "batch":
        said: dict[str, list[float]] = defaultdict(list)
        for read in seen:
            for number, score in zip(read.look.asked, read.scores, strict=True):
                said[labels[number]].append(float(score))
        options = replace(options, bias={label: float(np.mean(scores)) for label, scores in sorted(said.items())})
        corrected = [batch(r.scores, np.array([options.bias[labels[number]] for number in r.look.asked])) for r in seen]
        seen = [replace(read, scores=scores) for read, scores in zip(seen, corrected, strict=True)]
    return replace(options, weights=_fitted(seen, options.weights)[1]), seen


def _fitted(seen: Sequence[_Read], before: Weights) -> tuple[float | None, Weights]:
    """Return the weights of model and prior with the lowest loss, and that loss.

    The loss is the mean negative log-probability of the correct label, in nats, including labels that were not
    candidates. It is None, and the weights are unchanged, if there are too few examples.
    """
    inside = [read for read in seen if read.gold in read.look.asked]
    if len(inside) < _FEW:
        return None, before
    most = max(len(read.look.asked) for read in inside)
    absent = np.array([[0.0] * len(r.look.asked) + [-1e9] * (most - len(r.look.asked)) for r in inside])
    priors = np.array([_padded(np.log(read.look.prior[list(read.look.asked)]), most) for read in inside])
    said = np.array([_padded(read.scores, most) for read in inside])
    gold = np.array([read.look.asked.index(read.gold) for read in inside])
    rows = np.arange(len(gold))
    # Rounded, so that of equal losses the smallest model weight is taken, independent of floating-point noise.
    losses = {
        (model, prior): round(-float(log_softmax(absent + model * said + prior * priors)[rows, gold].mean()), 9)
        for model, prior in product(_MODEL, _PRIOR)
    }
    best = min(losses, key=losses.__getitem__)
    shares = [read.look.prior[list(read.look.asked)].sum() for read in inside]
    missed = [read.look.prior[read.gold] for read in seen if read.gold not in read.look.asked]
    total = losses[best] * len(inside) - float(np.log([*shares, *missed]).sum())
    return total / len(seen), replace(before, model=float(best[0]), prior=float(best[1]))


def _padded(values: Scores, length: int) -> Scores:
    return np.pad(values, (0, length - len(values)))


def _sample(pool: ExamplePool, count: int, seed: int) -> list[Example]:
    """Return a sample of a pool's examples, the same for the same pool and seed."""
    infos = pool.index.documents()
    drawn = random.Random(seed).sample(infos, min(count, len(infos)))  # noqa: S311
    return [pool.example(info) for info in drawn]
