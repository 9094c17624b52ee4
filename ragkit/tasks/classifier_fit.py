"""Finds how to classify on held-out examples, within a budget of calls."""

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
"""Held-out examples by which votes and probe are weighed, which costs no call of the model."""
_SURE = 0.99
"""The model is not asked where what is known without it is right this often."""
_FEW = 20
"""With fewer inputs than this the weights stay what they are."""
_HARDEST = 50
"""The settings are tried on at least so many inputs."""
_NEAR = 0.01
"""Nats between ways of reading that count as equal."""
_TRIES = 2
"""Usual ways of reading that are tried at least, however few the calls: a direct and a channel one."""
_CALLS_OF_A_TRY = 100
"""A further one for each so many calls: tried on a handful of inputs, the best of many is the luckiest."""
_RACING = Weights(model=0.2)
"""How the model is weighed while the race runs."""
_MODEL = np.arange(0.0, 1.501, 0.05)
_PRIOR = np.arange(0.0, 2.01, 0.1)


@dataclass(frozen=True, slots=True)
class ClassifierReport:
    """What a fit found."""

    vote_accuracy: float
    """Of the neighbours alone, each example hidden from its own vote."""
    probe_accuracy: float | None
    """Of the linear probe alone, on examples that it was not fitted to; None where it is of no use beside them."""
    prior_accuracy: float
    """Of both together."""
    voters: int
    """Examples that this was measured on."""
    unsure: float
    """The share of them on which these are not sure."""
    race: FitReport[ClassifierOptions] | None = None
    """The ways of reading that were tried, by the probability of the right label where reading is worth it; None where
    the model reads nothing or the budget is 0."""
    accuracy: float | None = None
    """Of what won, on the examples of the race."""
    calls: int = 0
    added: PoolReport | None = None
    """What came of adding the examples."""


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
    """Return the best options and what was tried; see ``Classifier.fit``.

    First votes and probe, which cost no call: by how likely they make the right labels of examples that are hidden from
    themselves. Then a race of ways of reading on those about which these are unsure. Last the weights, by what the
    model said in the race.

    Raises:
        TaskError: if no example has one of the labels.
    """
    labels = start.labels or tuple(sorted(pool.labels()))
    name = model if isinstance(model, str) else getattr(model, "name", start.model)
    start = replace(start, labels=labels, model=name)
    drawn = _sample(pool, max(_VOTERS, budget.held_out), budget.seed)
    held_out = [example for example in drawn if example.output in labels]
    if len(labels) < 2 or not held_out:
        raise TaskError(
            f"There are {len(labels)} labels, and {len(held_out)} of the examples looked at have one of them.",
            "Give examples of two labels or more.",
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
    if options.llm_mode == "none" or not budget.calls:
        return options, report

    # Where few are unsure, those that are nearest to it tell most about how to read.
    order = (
        np.argsort(tops, kind="stable")[: max(unsure, _HARDEST)]
        if options.llm_mode == "uncertain"
        else range(len(tops))
    )
    dev = [held_out[number] for number in order][: budget.held_out]
    priors = {example.input: prior for example, prior in zip(held_out, known.prior, strict=True)}
    opened = as_model(model, start.model)
    read = _Reader(path, pool, opened, options, settings, priors, budget.calls)

    def told(done: int, total: int) -> None:
        if progress is not None:
            progress(Progress("fit", done, total))

    raced = race(range(len(read.tries)), read, dev, budget.calls, budget.seed, told)
    if not raced.calls:
        for done, example in enumerate(dev[: budget.calls], 1):
            read(raced.best, example)
            told(done, min(len(dev), budget.calls))
    if opened is not model:
        close_model(opened)
    number = _likeliest(read.reads)
    best, seen = _finished(read.tries[number], read.reads[number])
    if best.llm_mode == "uncertain" and not best.weights.model:
        # What the model says would change no label, and cost its time.
        best = replace(best, llm_mode="none")
    won = [together(r.look.prior, r.look.asked, r.scores, best.weights).argmax() == r.gold for r in seen]
    trials = tuple(Trial(read.tries[trial.setting], trial.score, trial.tried) for trial in raced.trials)
    calls = sum(map(len, read.reads.values()))
    found = FitReport(best, trials, calls)
    return best, replace(report, race=found, accuracy=float(np.mean(won)), calls=calls)


def _usual_tries(options: ClassifierOptions, *, scores: bool) -> list[ClassifierOptions]:
    """Return ways of reading, those with the shortest prompts first.

    Args:
        options: what all have in common.
        scores: whether the model gives the log-probabilities that the channel direction needs.
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
    """Return the try of those read longest that makes the right labels likeliest; of near equals the first.

    Where one has too few to fit weights to, they can't be compared, and the first is taken.
    """
    longest = max(map(len, reads.values()))
    losses = {number: _fitted(seen, Weights())[0] for number, seen in sorted(reads.items()) if len(seen) == longest}
    known = {number: loss for number, loss in losses.items() if loss is not None}
    if len(known) < len(losses):
        return next(iter(losses))
    return next(number for number, loss in known.items() if loss <= min(known.values()) + _NEAR)


class _Reader:
    """Asks the model about examples in several ways, and keeps what it said.

    It is asked whatever is known without it, and what it says is not corrected: that is what is being measured.
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
        # The examples' own priors were made without them; the probe in the folder has seen them.
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
        """Return the probability that an example's label gets."""
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
    """Return the probability from which the likeliest label is right as often as it must be; 1 where it never is."""
    order = np.argsort(-tops, kind="stable")
    accuracy = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(accuracy >= _SURE)
    return float(tops[order[enough[-1]]]) if len(enough) else 1.0


def _finished(options: ClassifierOptions, seen: Sequence[_Read]) -> tuple[ClassifierOptions, Sequence[_Read]]:
    """Return options with weights, and what calibration needs, by what the model said; and this, corrected."""
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
    """Return the weights of the model and of the prior that make the right labels likeliest, and the loss under them.

    The loss is the mean negative log-probability of the right label, in nats, where it was no candidate too; None where
    there are too few to fit to, and the weights stay.
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
    # Rounded, so that of equals the least of the model is taken, and not the one that is luckiest in its last bits.
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
    """Return some of a pool's examples, the same ones for the same pool and seed."""
    infos = pool.index.documents()
    drawn = random.Random(seed).sample(infos, min(count, len(infos)))  # noqa: S311
    return [pool.example(info) for info in drawn]
