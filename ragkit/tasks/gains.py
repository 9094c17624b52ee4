"""How much an example helps a model with a query: what a ``LearnedSelector`` learns from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ragkit.errors import PromptOverflowError
from ragkit.models.base import ScoringModel
from ragkit.prompting.shot_template import ShotTemplate
from ragkit.records import Example


def model_gain(model: ScoringModel, template: ShotTemplate) -> Callable[[Example, Sequence[Example]], list[float]]:
    """Return a function for ``LearnedSelector.fit``; it asks the model once for the query and once for each candidate.

    A candidate's gain is the log-probability (natural) of the query's right output with the candidate as the one shot,
    minus that without any; NaN where a prompt does not fit the model's window.

    Args:
        model: that is to be helped.
        template: how examples and queries are shown to it.
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
