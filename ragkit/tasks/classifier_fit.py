"""Finds how to classify on held-out examples, within a budget of calls."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import TaskError
from ragkit.examples import DynamicSelector, ExamplePool, SelectorOptions
from ragkit.examples.pool import PoolReport
from ragkit.indexing.reports import Progress, ProgressCallback
from ragkit.records import Example
from ragkit.tasks.base import FitBudget
from ragkit.tasks.calibration import Anchor, Calibration, Scores, batch, log_softmax
from ragkit.tasks.classifier import Classifier, Look, together
from ragkit.tasks.classifier_options import ClassifierOptions, Weights
from ragkit.tasks.fit_log import FitLog
from ragkit.tasks.fitting import FitReport, Trial, race
from ragkit.tasks.shot_prompts import ShotSetting
from ragkit.tasks.votes import Searcher, VoteOptions, vote

if TYPE_CHECKING:
    from ragkit.models import ChatModel

_VOTERS = 600
"""Held-out examples by which the vote is chosen, which costs no call of the model."""
_SURE = 0.99
"""Neighbours agree where their vote is right this often."""
_FEW = 20
"""With fewer inputs than this the weights stay what they are."""
_HARDEST = 50
"""The settings are tried on at least so many inputs."""
_GRID = np.arange(0.0, 3.01, 0.1)


@dataclass(frozen=True, slots=True)
class ClassifierReport:
    """What a fit found."""

    vote_accuracy: float
    """Of the neighbours alone, each example hidden from its own vote."""
    voters: int
    """Examples that this was measured on."""
    unsure: float
    """The share of them on which the neighbours disagree."""
    race: FitReport[ShotSetting] | None = None
    """The settings that were tried, by the probability of the right label where the neighbours are unsure; None where
    the model reads nothing or the budget is 0."""
    accuracy: float | None = None
    """Of the setting that won, on the examples of the race."""
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

    First the vote, which costs no call: by how likely it makes the right labels of examples that are hidden from
    themselves. Then a race of settings on those about which it is unsure. Last the weights, by what the model said in
    the race under the setting that won.

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
    vote_options, shares = _vote(pool, start, held_out)
    gold = np.array([labels.index(example.output) for example in held_out])
    right, tops = shares.argmax(axis=1) == gold, shares.max(axis=1)
    alone = _alone(shares, gold)
    options = replace(start, vote=vote_options, sure=_agreement(tops, right), weights=Weights(alone=alone))
    unsure = int((tops < options.sure).sum())
    report = ClassifierReport(float(right.mean()), len(held_out), unsure / len(held_out))
    # Where few are unsure, those that are nearest to it tell most about how to read.
    hardest = [held_out[number] for number in np.argsort(tops, kind="stable")[: max(unsure, _HARDEST)]]
    dev = (hardest if options.reads == "unsure" else held_out)[: budget.held_out]
    if options.reads == "none" or not budget.calls:
        return options, report

    tries = list(settings) or _usual_settings(options)
    read = _Reader(path, pool, model, options, tries)

    def told(done: int, total: int) -> None:
        if progress is not None:
            progress(Progress("fit", done, total))

    raced = race(range(len(tries)), read, dev, budget.calls, budget.seed, told)
    if not raced.calls:
        for done, example in enumerate(dev[: budget.calls], 1):
            read(raced.best, example)
            told(done, min(len(dev), budget.calls))
    read.log.close()
    seen = read.reads[raced.best]
    best = _finished(replace(options, setting=tries[raced.best]), seen)
    won = [together(r.look.shares, r.look.asked, r.scores, best.weights).argmax() == r.gold for r in seen]
    trials = tuple(Trial(tries[trial.setting], trial.score, trial.tried) for trial in raced.trials)
    calls = sum(map(len, read.reads.values()))
    found = FitReport(best.setting, trials, calls)
    return best, replace(report, race=found, accuracy=float(np.mean(won)), calls=calls)


def _usual_settings(options: ClassifierOptions) -> list[ShotSetting]:
    """Return ways of choosing examples, those with the shortest prompts first."""
    near = SelectorOptions(by=options.vote.by, hide_own=False)
    turns = options.setting.template
    return [
        ShotSetting(near, 4, turns),
        ShotSetting(near, 8, turns),
        ShotSetting(near, 16, turns),
        ShotSetting(replace(near, choice="mmr", candidates=50), 8, turns),
        ShotSetting(replace(near, choice="dpp", candidates=50), 8, turns),
        ShotSetting(replace(near, choice="balanced", candidates=20), 8, turns),
        ShotSetting(replace(near, order="best_first"), 8, turns),
        ShotSetting(near, 8, replace(turns, style="lines")),
    ]


class _Reader:
    """Asks the model about examples under several settings, and keeps what it said.

    The model is asked whatever the vote, and what it says is not corrected: that is what is being measured.
    """

    def __init__(
        self,
        path: Path,
        pool: ExamplePool,
        model: ChatModel | str | None,
        options: ClassifierOptions,
        settings: Sequence[ShotSetting],
    ) -> None:
        self.log = FitLog(path / "fit.jsonl")
        self.reads: dict[int, list[_Read]] = defaultdict(list)
        calibration: Calibration = "contextual" if options.calibration == "contextual" else "none"
        plain = replace(options, reads="all", calibration=calibration)
        first = Classifier(path, pool, replace(plain, setting=settings[0]), model)
        others = [Classifier(path, pool, replace(plain, setting=one), first.reader.model) for one in settings[1:]]
        self._classifiers = [first, *others]

    def __call__(self, number: int, example: Example) -> float:
        """Return the probability that an example's label gets under a setting."""
        classifier = self._classifiers[number]
        options = classifier.options
        look = classifier.look(example.input, hide_own=True)
        messages = classifier.reader.prompt([shot.example for shot in look.shots], look.text)
        asked = [options.labels[place] for place in look.asked]
        scores = self.log.kept(
            [options.model, [[m.role, m.content] for m in messages], asked, options.calibration],
            lambda: classifier.scores(look, look.shots),
        )
        read = _Read(look, scores, options.labels.index(example.output))
        self.reads[number].append(read)
        return float(together(look.shares, look.asked, scores, options.weights)[read.gold])


def _vote(pool: ExamplePool, start: ClassifierOptions, held_out: Sequence[Example]) -> tuple[VoteOptions, Scores]:
    """Return the options of the likeliest vote, and each held-out example's shares under it, ``[examples, labels]``.

    No model is asked. Each example is hidden from its own vote.
    """
    labels = start.labels
    gold = [labels.index(example.output) for example in held_out]
    best: tuple[float, VoteOptions, Scores] | None = None
    ways: tuple[Searcher, ...] = ("dense", "hybrid")
    for by in ways:
        selector = DynamicSelector(pool, SelectorOptions(by=by, order="best_first"))
        found = [selector.select(example.input, 40) for example in held_out]
        for neighbours, sharpness in product((5, 10, 20, 40), (0.0, 5.0, 10.0, 20.0, 40.0)):
            options = replace(start.vote, by=by, neighbours=neighbours, sharpness=sharpness)
            shares = np.array([vote(shots, labels, options) for shots in found])
            loss = -float(np.log(shares[np.arange(len(gold)), gold]).mean())
            # Of ways that are as good the simpler one.
            if best is None or loss < best[0] - 1e-3:
                best = loss, options, shares
    assert best is not None
    return best[1], best[2]


def _agreement(tops: Scores, right: NDArray[np.bool_]) -> float:
    """Return the share of the vote from which neighbours are right as often as they must be; 1 where they never are."""
    order = np.argsort(-tops, kind="stable")
    accuracy = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(accuracy >= _SURE)
    return float(tops[order[enough[-1]]]) if len(enough) else 1.0


def _finished(options: ClassifierOptions, seen: Sequence[_Read]) -> ClassifierOptions:
    """Return options with weights, and what calibration needs, by what the model said."""
    labels = options.labels
    if options.calibration == "knn":
        anchors = tuple(
            Anchor(labels[r.gold], {labels[n]: float(s) for n, s in zip(r.look.asked, r.scores, strict=True)})
            for r in seen
        )
        return replace(options, anchors=anchors)
    if options.calibration == "batch":
        said: dict[str, list[float]] = defaultdict(list)
        for read in seen:
            for number, score in zip(read.look.asked, read.scores, strict=True):
                said[labels[number]].append(float(score))
        options = replace(options, bias={label: float(np.mean(scores)) for label, scores in sorted(said.items())})
        corrected = [batch(r.scores, np.array([options.bias[labels[number]] for number in r.look.asked])) for r in seen]
        seen = [replace(read, scores=scores) for read, scores in zip(seen, corrected, strict=True)]
    return replace(options, weights=_weights(seen, options.weights))


def _weights(seen: Sequence[_Read], before: Weights) -> Weights:
    """Return the weights of the model and of the vote that make the right labels likeliest."""
    inside = [read for read in seen if read.gold in read.look.asked]
    if len(inside) < _FEW:
        return before
    votes = np.array([np.log(read.look.shares[list(read.look.asked)]) for read in inside])
    said = np.array([read.scores for read in inside])
    gold = np.array([read.look.asked.index(read.gold) for read in inside])
    losses = {
        (model, voting): -float(log_softmax(model * said + voting * votes)[np.arange(len(gold)), gold].mean())
        for model, voting in product(_GRID, _GRID)
    }
    best = min(losses, key=losses.__getitem__)
    return replace(before, model=float(best[0]), vote=float(best[1]))


def _alone(shares: Scores, gold: NDArray[np.int64]) -> float:
    """Return the weight under which the vote's shares are the likeliest probabilities."""
    places = np.arange(len(gold))
    losses = [-float(log_softmax(weight * np.log(shares))[places, gold].mean()) for weight in _GRID[1:]]
    return float(_GRID[1:][int(np.argmin(losses))])


def _sample(pool: ExamplePool, count: int, seed: int) -> list[Example]:
    """Return some of a pool's examples, the same ones for the same pool and seed."""
    infos = pool.index.documents()
    drawn = random.Random(seed).sample(infos, min(count, len(infos)))  # noqa: S311
    return [pool.example(info) for info in drawn]
