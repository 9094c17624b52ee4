"""The entry point of prompt search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from ragkit._progress import ProgressCallback
from ragkit.errors import ExamplePoolError, SettingsError
from ragkit.examples.pool import normal
from ragkit.models import ChatModel
from ragkit.prompt_search.base import Method, Objective, PromptCandidate, SearchOptions, digest
from ragkit.prompt_search.gepa import gepa
from ragkit.prompt_search.journal import open_journal
from ragkit.prompt_search.methods import ape, opro, random_shots
from ragkit.prompt_search.proposals import leaked_input
from ragkit.prompt_search.report import SearchReport
from ragkit.prompt_search.study import Study
from ragkit.records import Example


def search_prompts(
    objective: Objective,
    train: Iterable[Example],
    dev: Iterable[Example],
    *,
    method: Method = "random",
    proposer: ChatModel | None = None,
    options: SearchOptions | None = None,
    start: PromptCandidate | None = None,
    folder: str | Path | None = None,
    progress: ProgressCallback | None = None,
) -> SearchReport:
    """Search for the prompt with the best dev score, within a budget of model calls.

    ``random`` searches for shots and keeps the instruction; ``ape``, ``opro`` and ``gepa`` search for an instruction
    and keep the shots. Search for shots first, and start the search for an instruction with the best prompt. Neither
    ``train`` nor ``dev`` may contain examples of the final evaluation.

    Args:
        objective: scores a candidate; a ``ModelObjective`` or a function. Its attribute ``identity``, or the name of
            the function, identifies it in the log.
        train: labelled examples for shots and for the proposer.
        dev: labelled examples on which candidates are scored.
        method: ``random``, ``ape``, ``opro`` or ``gepa``.
        proposer: model that writes instructions; not needed for ``random``.
        options: budget, seed and sizes.
        start: initial prompt; by default no instruction and no shots.
        folder: folder of the log. An interrupted search continues from it, with the same report if the model's replies
            are the same.
        progress: called with a ``Progress`` after each call.

    Returns:
        The best prompt and all trials. The same inputs give the same report.

    Raises:
        ExamplePoolError: if train or dev is empty or they share an input, a training example has no output, or a shot
            of the start is not in train.
        SettingsError: if the method is unknown or lacks a proposer, or the budget is below one call for each dev item.
        TaskError: if the log belongs to another search or is damaged.
        IndexLockedError: if another process writes the log.
        ModelError: if a model fails; with a folder, the same call continues.
    """
    learn, judge = tuple(train), tuple(dev)
    begin = start or PromptCandidate()
    options = options or SearchOptions()
    methods: Mapping[str, Callable[[Study], None]] = {"random": random_shots, "ape": ape, "opro": opro, "gepa": gepa}
    if method not in methods:
        raise SettingsError(f"Unknown method {method!r}.", f"Legal values: {', '.join(get_args(Method))}.")
    if method != "random" and proposer is None:
        raise SettingsError(f"{method} needs a proposer.", "Pass proposer=open_model('smollm2') or a better model.")
    _check_examples(learn, judge, begin)
    if options.max_calls < len(judge):
        raise SettingsError(
            f"max_calls={options.max_calls} is too small to score one prompt on {len(judge)} dev items.",
            f"Use max_calls={len(judge)} or more (ten times that for a search), or fewer dev items.",
        )
    train_sha256, dev_sha256 = (digest([asdict(example) for example in split]) for split in (learn, judge))
    head = {
        "method": method,
        "options": asdict(options),
        "train": train_sha256,
        "dev": dev_sha256,
        "start": begin.to_dict(),
        "objective": _identity(objective),
        "proposer": None if proposer is None else proposer.name,
    }
    with open_journal(folder, head) as journal:
        study = Study(objective, learn, judge, options, journal, proposer, progress)
        study.is_new(begin)
        study.score(begin, range(len(judge)))
        study.settle(begin, "start")
        leak = leaked_input(begin.instruction, [normal(example.input) for example in judge])
        if leak is not None:
            study.notes.append(
                f"The instruction of the start contains the dev input {leak[:80]!r}; its score is biased."
            )
        methods[method](study)
    scored = {number for trial in study.trials for number in trial.scores}
    return SearchReport(
        best=study.best.candidate,
        dev_score=study.best.score,
        start_score=study.trials[0].score,
        trials=tuple(study.trials),
        dropped=tuple(study.dropped),
        calls=study.calls,
        proposals=study.proposals,
        budget=options.max_calls,
        method=method,
        seed=options.seed,
        dev_items=tuple(sorted(scored)),
        dev_sha256=dev_sha256,
        train_sha256=train_sha256,
        notes=tuple(study.notes),
    )


def _check_examples(train: Sequence[Example], dev: Sequence[Example], start: PromptCandidate) -> None:
    if not train or not dev:
        raise ExamplePoolError(
            f"There are {len(train)} training and {len(dev)} dev examples.", "Pass at least one of each."
        )
    bare = [example for example in train if not example.output.strip()]
    if bare:
        raise ExamplePoolError(
            f"{len(bare)} training examples have no output: {_named([example.input for example in bare])}.",
            "Label or remove them.",
        )
    known = {normal(example.input) for example in train}
    shared = [example.input for example in dev if normal(example.input) in known]
    if shared:
        raise ExamplePoolError(
            f"{len(shared)} dev inputs are also in train: {_named(shared)}. Shots would leak their outputs.",
            "Remove them from one of the two.",
        )
    pairs = {(normal(example.input), example.output) for example in train}
    foreign = [shot.input for shot in start.shots if (normal(shot.input), shot.output) not in pairs]
    if foreign:
        raise ExamplePoolError(
            f"{len(foreign)} shots of the start are not in train: {_named(foreign)}.", "Add them to train."
        )


def _named(inputs: Sequence[str]) -> str:
    named = ", ".join(repr(text[:60]) for text in inputs[:5])
    return named if len(inputs) <= 5 else f"{named} and {len(inputs) - 5} more"


def _identity(objective: Objective) -> str:
    own = getattr(objective, "identity", None)
    if isinstance(own, str):
        return own
    named = objective if hasattr(objective, "__qualname__") else type(objective)
    return f"{named.__module__}.{getattr(named, '__qualname__', '')}"
