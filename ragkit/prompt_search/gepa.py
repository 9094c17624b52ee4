"""GEPA: reflective prompt evolution with a Pareto front of candidates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

from ragkit.examples.pool import normal
from ragkit.prompt_search.base import PromptCandidate
from ragkit.prompt_search.proposals import ask_to_improve
from ragkit.prompt_search.report import Trial
from ragkit.prompt_search.study import Study


def gepa(study: Study) -> None:
    """Improve candidates by reflection on their mistakes.

    After Agrawal et al., *GEPA: reflective prompt evolution can outperform reinforcement learning*, arXiv:2507.19457:
    a parent is sampled from the per-item Pareto front, tested on a few training examples, and improved by the proposer
    from the feedback. A child with a higher score on the same examples is scored on all dev items and becomes a
    candidate. Since there is only one text, the paper's crossover of modules does not apply. The shots of the start are
    kept, and no candidate is tested on its own shots.
    """
    shots = study.trials[0].candidate.shots
    hidden = {normal(shot.input) for shot in shots}
    legal = [number for number, example in enumerate(study.train) if normal(example.input) not in hidden]
    if not legal:
        study.notes.append("Ended early: the training set contains only the shots of the start.")
        return
    queue: list[int] = []
    idle = 0
    while idle < len(legal):
        parent = drawn_parent(study)
        while len(queue) < min(study.options.reflect, len(legal)):
            queue += [legal[int(place)] for place in study.chance.permutation(len(legal))]
        batch = list(dict.fromkeys(queue[: study.options.reflect]))
        del queue[: study.options.reflect]
        cost = study.cost(parent.candidate, batch, "train")
        if cost + 1 + len(batch) + len(study.dev) > study.left:
            return
        before = study.score(parent.candidate, batch, "train")
        idle = idle + 1 if not cost else 0
        if all(outcome.score >= 1 for outcome in before):
            continue
        tried = [(study.train[number], outcome) for number, outcome in zip(batch, before, strict=True)]
        messages = study.fitting(partial(ask_to_improve, parent.candidate.instruction), tried)
        idle = 0
        child = study.screened(study.propose(messages), shots)
        if child is not None:
            after = study.score(child, batch, "train")
            _judge(study, parent, child, [o.score for o in before], [o.score for o in after])
    study.notes.append("Ended early: the candidates make no mistakes on the training set.")


def drawn_parent(study: Study) -> Trial:
    """Sample a candidate of the front, with a probability proportional to the dev items on which it is the best."""
    complete = [trial for trial in study.trials if trial.complete]
    shares = front([trial.scores for trial in complete])
    numbers = list(shares)
    total = sum(shares.values())
    return complete[int(study.chance.choice(numbers, p=[shares[number] / total for number in numbers]))]


def front(scores: Sequence[Mapping[int, float]]) -> dict[int, int]:
    """Return the candidates of the Pareto front, and the number of items on which each is the best.

    A candidate is dominated if another is the best on all the same items, and on more.

    Args:
        scores: scores of each candidate, by item.

    Returns:
        The number of items, by the candidate's index in ``scores``.
    """
    highest = {item: max(each[item] for each in scores) for item in scores[0]}
    wins = [{item for item, score in each.items() if score == highest[item]} for each in scores]
    return {place: len(own) for place, own in enumerate(wins) if own and not any(own < other for other in wins)}


def _judge(
    study: Study, parent: Trial, child: PromptCandidate, before: Sequence[float], after: Sequence[float]
) -> None:
    """Score a child on dev if it is better than its parent on the examples of the reflection."""
    origin = f"improved from {parent.number}"
    if math.fsum(after) > math.fsum(before):
        study.score(child, range(len(study.dev)))
        study.settle(child, origin)
    else:
        means = math.fsum(after) / len(after), math.fsum(before) / len(before)
        study.settle(
            child, origin, f"{means[0]:.2f} on {len(after)} training items, not above its parent's {means[1]:.2f}"
        )
