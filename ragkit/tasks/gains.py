"""Gain of an example as a shot for a query: the training signal of ``LearnedSelector``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ragkit.errors import PromptOverflowError
from ragkit.models.base import ScoringModel
from ragkit.prompting.shot_template import ShotTemplate
from ragkit.records import Example


def model_gain(model: ScoringModel, template: ShotTemplate) -> Callable[[Example, Sequence[Example]], list[float]]:
    """Return a function for ``LearnedSelector.fit``. It calls the model once for the query and once per candidate.

    A candidate's gain is the natural log-probability of the query's correct output with the candidate as the only shot,
    minus that without shots; NaN if a prompt does not fit the model's window.

    Args:
        model: the model to select shots for.
        template: template of examples and queries.
    """

    def gain(query: Example, candidates: Sequence[Example]) -> list[float]:
        reply = template.reply(query)

        def logprob(shots: Sequence[Example]) -> float:
            try:
                return sum(model.score(template.messages(shots, query.input, query.metadata), [reply])[0])
            except PromptOverflowError:
                return math.nan

        alone = logprob([])
        return [logprob([candidate]) - alone for candidate in candidates]

    return gain
