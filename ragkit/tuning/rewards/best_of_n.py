"""Best-of-n sampling: for answers, or for training examples (rejection sampling)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ragkit._progress import ProgressCallback
from ragkit.errors import ModelError, SettingsError
from ragkit.models.base import ChatModel, Completion, Delta, GenerationOptions
from ragkit.records import Example, Message
from ragkit.tuning.rewards.rankings import Prompt
from ragkit.tuning.rewards.sampling import RenderPrompt, as_user, check_sampling, draw, draw_all

if TYPE_CHECKING:
    from ragkit.tuning.rewards.measure import RewardModel

Score = Callable[[Prompt, Sequence[str]], Sequence[float]]
"""Takes a prompt and answers; returns a score for each, the higher the better."""
Check = Callable[[str, str], bool]
"""Takes an input and an answer; returns whether to accept the answer."""


class BestOfN:
    """A model that samples several replies and returns the one with the highest score.

    The reply is yielded when all are complete; usage is the total of all. The same call returns the same reply.

    Args:
        model: model that generates the replies.
        n: number of replies.
        score: a reward model, or a function of the prompt and the replies.
        temperature: sampling temperature, if that of the call is 0.

    Raises:
        SettingsError: if ``n`` or the temperature is out of range.
    """

    def __init__(self, model: ChatModel, n: int = 4, *, score: RewardModel | Score, temperature: float = 0.8) -> None:
        check_sampling(n, temperature)
        self.name = f"best of {n} of {model.name}"
        self.window = model.window
        self._model = model
        self._n = n
        self._score = scorer(score)
        self._temperature = temperature

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the number of tokens of the prompt."""
        return self._model.count_tokens(messages)

    def stream(self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()) -> Iterator[Delta]:
        """Yield the best reply as one delta; with ``logprobs``, empty deltas with those of its tokens follow.

        Raises:
            ModelOutputError: if no reply is usable.
            ModelError: as raised by the model, or if the score is not a number for each reply.
        """
        if (options.temperature or 0.0) <= 0:
            options = replace(options, temperature=self._temperature)
        drawn = draw(self._model, messages, self._n, options)
        best = self._best(messages, drawn)
        usage = reduce(add, (one.usage for one in drawn))
        yield Delta(best.text)
        for logprob in best.logprobs:
            yield Delta("", logprob)
        yield Delta("", None, best.finish, usage, best.route)

    def close(self) -> None:
        """Close the model, if it has a ``close`` method."""
        close = getattr(self._model, "close", None)
        if callable(close):
            close()

    def _best(self, messages: Sequence[Message], drawn: Sequence[Completion]) -> Completion:
        # Equal replies are scored once; a tie goes to the first one.
        first = {one.text: one for one in reversed(drawn)}
        texts = list(dict.fromkeys(one.text for one in drawn))
        if len(texts) == 1:
            return drawn[0]
        return first[texts[int(np.argmax(checked_scores(self._score, messages, texts)))]]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Result of rejection sampling."""

    examples: list[Example]
    """Inputs with accepted answers; the metadata has the number of samples (``drawn``), and the ``reward`` if any."""
    inputs: int
    rejected: list[str]
    """Inputs without an accepted answer."""


def rejection_samples(
    model: ChatModel,
    inputs: Sequence[str],
    check: Check | RewardModel,
    n: int = 4,
    *,
    threshold: float | None = None,
    options: GenerationOptions | None = None,
    render: RenderPrompt = as_user,
    max_per_input: int = 1,
    log: str | Path | None = None,
    progress: ProgressCallback | None = None,
) -> Rejection:
    """Sample answers, and return the accepted ones as training examples.

    Args:
        model: model that generates the answers.
        inputs: inputs, such as questions.
        check: a function of an input and an answer that returns whether to accept the answer; or a reward model.
        n: number of samples per input.
        threshold: minimum score of an accepted answer, with a reward model.
        options: generation options with a temperature above 0; by default 0.8.
        render: returns the messages for an input; by default one user message. It may add shots that the training
            examples will not have.
        max_per_input: maximum number of examples per input: the first accepted, or those with the highest reward.
        log: JSON Lines file of the samples; an interrupted run continues from it, and another check or threshold
            reuses them.
        progress: called with a ``Progress`` after each input.

    Raises:
        SettingsError: if a threshold is passed with a function, or none with a reward model, ``max_per_input`` is below
            1, or the log belongs to another run.
        ModelError: as raised by the model.
    """
    judged = getattr(check, "score", None)
    if max_per_input < 1 or (judged is None) != (threshold is None):
        raise SettingsError(
            "max_per_input must be >= 1, and threshold is for reward models only, "
            f"got max_per_input={max_per_input} and threshold={threshold} with {type(check).__name__}.",
            "Pass a threshold if and only if check is a reward model.",
        )
    drawn = draw_all(
        model,
        inputs,
        n,
        options or GenerationOptions(temperature=0.8),
        render=render,
        log=log,
        progress=progress,
    )
    found: list[Example] = []
    rejected: list[str] = []
    for one in drawn:
        answers = list(dict.fromkeys(reply for reply in one.replies if reply))
        kept: list[Example] = []
        if judged is None:
            good = [answer for answer in answers if check(one.input, answer)]  # type: ignore[operator]
            kept = [Example(one.input, answer, {"drawn": n}) for answer in good]
        elif answers:
            scores = checked_scores(judged, render(one.input), answers)
            pairs = sorted(zip(scores.tolist(), answers, strict=True), key=lambda pair: -pair[0])
            kept = [
                Example(one.input, answer, {"drawn": n, "reward": score})
                for score, answer in pairs
                if threshold is not None and score >= threshold
            ]
        found += kept[:max_per_input]
        if not kept:
            rejected.append(one.input)
    return Rejection(found, len(inputs), rejected)


def scorer(score: RewardModel | Score) -> Score:
    """Return a reward model's ``score``, or the function itself."""
    own: Score | None = getattr(score, "score", None)
    return own or cast("Score", score)


def checked_scores(
    score: Score, prompt: Prompt, answers: Sequence[str]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the checked score of each answer, float64 ``[answers]``.

    Raises:
        ModelError: if there is not one finite number for each.
    """
    found = np.asarray(score(prompt, answers), dtype=np.float64)
    if found.shape != (len(answers),) or not np.isfinite(found).all():
        raise ModelError(
            f"The score function returned {found.tolist()} for {len(answers)} answers.",
            "It must return a finite number for each answer.",
        )
    return found
