"""Finds how to classify on held-out examples, within a budget of calls."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import TaskError
from ragkit.examples import DynamicSelector, ExamplePool, SelectorOptions
from ragkit.examples.pool import PoolReport
from ragkit.examples.selector import Choice
from ragkit.records import Example
from ragkit.tasks.base import FitBudget, filled_pool
from ragkit.tasks.calibration import Anchor, Calibration, Scores, batch, log_softmax
from ragkit.tasks.classifier import Classifier, Look, together
from ragkit.tasks.classifier_options import ClassifierOptions, Weights
from ragkit.tasks.fitting import FitReport, Trial, race
from ragkit.tasks.votes import Searcher, VoteOptions, vote

if TYPE_CHECKING:
    from ragkit.embedding import Embedder
    from ragkit.models import ChatModel

_LOG = "fit.jsonl"
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

    pool: PoolReport
    """What came of adding the examples."""
    vote_accuracy: float
    """Of the neighbours alone, each example hidden from its own vote."""
    voters: int
    """Examples that this was measured on."""
    unsure: float
    """The share of them on which the neighbours disagree."""
    race: FitReport[ClassifierOptions] | None
    """The settings that were tried, by the probability of the right label on inputs where the neighbours disagree; None
    where the model reads nothing or the budget is 0."""
    accuracy: float | None
    """Of the chosen settings on the inputs of the race that they read."""
    calls: int


@dataclass(frozen=True, slots=True)
class _Read:
    look: Look
    scores: Scores
    gold: int


def fit_classifier(
    folder: Path,
    examples: Iterable[Example] | ExamplePool,
    model: ChatModel | str | None,
    start: ClassifierOptions,
    settings: Sequence[ClassifierOptions],
    budget: FitBudget,
    embedder: Embedder | str | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[ClassifierOptions, ClassifierReport, ExamplePool]:
    """Return the best options, what was tried, and the pool; see ``Classifier.fit``."""
    pool, report = filled_pool(folder, examples, embedder)
    labels = start.labels or tuple(sorted(pool.labels()))
    start = replace(
        start, labels=labels, model=model if isinstance(model, str) else getattr(model, "name", start.model)
    )
    drawn = _sample(pool, max(_VOTERS, budget.held_out), budget.seed)
    held_out = [example for example in drawn if example.output in labels]
    if not held_out:
        raise TaskError("No example has one of the labels.", f"Labels are: {', '.join(labels[:10])}.")
    options, shares = _vote(pool, start, held_out)
    gold = np.array([labels.index(example.output) for example in held_out])
    right = shares.argmax(axis=1) == gold
    options = replace(options, sure=_agreement(shares.max(axis=1), right))
    tops = shares.max(axis=1)
    unsure = int((tops < options.sure).sum())
    # Where few are unsure, those that are nearest to it tell most about how to read.
    hardest = [held_out[number] for number in np.argsort(tops, kind="stable")[: max(unsure, _HARDEST)]]
    dev = (hardest if options.reads == "unsure" else held_out)[: budget.held_out]
    found = ClassifierReport(report, float(right.mean()), len(held_out), unsure / len(held_out), None, None, 0)
    if options.reads == "none" or not budget.calls or not dev:
        return options, found, pool

    tries = [replace(one, labels=labels, vote=options.vote, sure=options.sure, model=options.model) for one in settings]
    tries = tries or _default_settings(options)
    log = _Log(folder / _LOG)
    reads: dict[int, list[_Read]] = defaultdict(list)
    first = Classifier(folder, pool, _plain(tries[0]), model)
    classifiers = {0: first}

    def score(number: int, example: Example) -> float:
        if number not in classifiers:
            classifiers[number] = Classifier(folder, pool, _plain(tries[number]), first.reader.model)
        read = _read(classifiers[number], example, log)
        reads[number].append(read)
        return float(together(read.look.shares, read.look.asked, read.scores, options.weights)[read.gold])

    raced = race(range(len(tries)), score, dev, budget.calls, budget.seed, progress)
    if not raced.calls:
        for done, example in enumerate(dev[: budget.calls], 1):
            score(raced.best, example)
            if progress is not None:
                progress(done, min(len(dev), budget.calls))
    log.close()
    seen = reads[raced.best]
    best = _finished(tries[raced.best], seen, _alone(shares, gold))
    trials = tuple(Trial(tries[trial.setting], trial.score, trial.tried) for trial in raced.trials)
    right = [together(r.look.shares, r.look.asked, r.scores, best.weights).argmax() == r.gold for r in seen]
    calls = sum(map(len, reads.values()))
    return best, replace(found, race=FitReport(best, trials, calls), accuracy=float(np.mean(right)), calls=calls), pool


def _default_settings(options: ClassifierOptions) -> list[ClassifierOptions]:
    """Return ways of choosing examples, those with the shortest prompts first."""
    by = options.vote.by
    near = [replace(options, k=k, shots=SelectorOptions(by=by, hide_own=False)) for k in (4, 8, 16)]
    sets: tuple[tuple[Choice, int], ...] = (("mmr", 50), ("dpp", 50), ("balanced", 20))
    varied = [
        replace(options, k=8, shots=SelectorOptions(by=by, choice=choice, candidates=candidates, hide_own=False))
        for choice, candidates in sets
    ]
    first = replace(options, k=8, shots=SelectorOptions(by=by, order="best_first", hide_own=False))
    lines = replace(near[1], template=replace(options.template, style="lines"))
    return [*near, *varied, first, lines]


def _plain(options: ClassifierOptions) -> ClassifierOptions:
    """Return options under which the model reads every input, and its own scores come out."""
    calibration: Calibration = "contextual" if options.calibration == "contextual" else "none"
    return replace(options, reads="all", calibration=calibration)


def _vote(pool: ExamplePool, start: ClassifierOptions, held_out: Sequence[Example]) -> tuple[ClassifierOptions, Scores]:
    """Return the options with the likeliest vote, and each held-out example's shares under it, ``[examples, labels]``.

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
    return replace(start, vote=best[1]), best[2]


def _agreement(tops: Scores, right: NDArray[np.bool_]) -> float:
    """Return the share of the vote from which neighbours are right as often as they must be; 1 where they never are."""
    order = np.argsort(-tops, kind="stable")
    accuracy = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(accuracy >= _SURE)
    return float(tops[order[enough[-1]]]) if len(enough) else 1.0


def _read(classifier: Classifier, example: Example, log: _Log) -> _Read:
    options = classifier.options
    look = classifier.look(example.input, hide_own=True)
    key = log.key(classifier, look)
    if key not in log.known:
        log.write(key, classifier.scores(look, look.shots))
    return _Read(look, log.known[key], options.labels.index(example.output))


def _finished(options: ClassifierOptions, seen: Sequence[_Read], alone: float) -> ClassifierOptions:
    """Return options with weights, and what calibration needs, by what the model said."""
    labels = options.labels
    if options.calibration == "knn":
        anchors = tuple(
            Anchor(labels[r.gold], {labels[n]: float(s) for n, s in zip(r.look.asked, r.scores, strict=True)})
            for r in seen
        )
        return replace(options, anchors=anchors, weights=Weights(alone=alone))
    if options.calibration == "batch":
        said: dict[str, list[float]] = defaultdict(list)
        for read in seen:
            for number, score in zip(read.look.asked, read.scores, strict=True):
                said[labels[number]].append(float(score))
        options = replace(options, bias={label: float(np.mean(scores)) for label, scores in sorted(said.items())})
        corrected = [batch(r.scores, np.array([options.bias[labels[number]] for number in r.look.asked])) for r in seen]
        seen = [replace(read, scores=scores) for read, scores in zip(seen, corrected, strict=True)]
    model, voting = _weights(seen)
    return replace(options, weights=Weights(model, voting, alone))


def _weights(seen: Sequence[_Read]) -> tuple[float, float]:
    """Return the weights of the model and of the vote that make the right labels likeliest."""
    inside = [read for read in seen if read.gold in read.look.asked]
    if len(inside) < _FEW:
        return Weights().model, Weights().vote
    votes = np.array([np.log(read.look.shares[list(read.look.asked)]) for read in inside])
    said = np.array([read.scores for read in inside])
    gold = np.array([read.look.asked.index(read.gold) for read in inside])
    losses = {
        (model, voting): -float(log_softmax(model * said + voting * votes)[np.arange(len(gold)), gold].mean())
        for model, voting in product(_GRID, _GRID)
    }
    best = min(losses, key=losses.__getitem__)
    return float(best[0]), float(best[1])


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


class _Log:
    """What a model said, on disk, so that an interrupted fit does not ask again."""

    def __init__(self, file: Path) -> None:
        self.known: dict[str, Scores] = {}
        if file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                try:
                    row = json.loads(line)
                except ValueError:
                    continue  # the last line of a fit that was killed
                self.known[row["prompt"]] = np.array(row["scores"])
        self._file = file.open("a", encoding="utf-8")

    def key(self, classifier: Classifier, look: Look) -> str:
        """Return what stands for a question to the model: all of its words."""
        messages = classifier.reader.prompt([shot.example for shot in look.shots], look.text)
        labels = [classifier.options.labels[number] for number in look.asked]
        asked = [
            classifier.options.model,
            [[m.role, m.content] for m in messages],
            labels,
            classifier.options.calibration,
        ]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()

    def write(self, key: str, scores: Scores) -> None:
        """Keep what was said."""
        self.known[key] = scores
        self._file.write(json.dumps({"prompt": key, "scores": scores.tolist()}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
