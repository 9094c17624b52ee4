"""Several replies, of which the best is taken: to answer with, or to learn from."""

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
from ragkit.tuning.rankings import Prompt
from ragkit.tuning.sampling import Shown, as_user, check_sampling, draw, draw_all

if TYPE_CHECKING:
    from ragkit.tuning.reward_measure import RewardModel

Score = Callable[[Prompt, Sequence[str]], Sequence[float]]
"""Takes a prompt and answers; gives each a number, the higher the better."""
Check = Callable[[str, str], bool]
"""Takes an input and an answer; tells whether the answer will do."""


class BestOfN:
    """A model that draws several replies and gives the one with the highest score.

    A reply is given out whole, when all are there; usage is that of all. The same call gives the same reply.

    Args:
        model: draws the replies.
        n: how many.
        score: a reward model, or a function of the prompt and the replies.
        temperature: of drawing, where the call's own is 0.

    Raises:
        SettingsError: if n replies at that temperature can't differ.
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
        """Return the tokens of the prompt, as the model counts them."""
        return self._model.count_tokens(messages)

    def stream(self, messages: Sequence[Message], options: GenerationOptions = GenerationOptions()) -> Iterator[Delta]:
        """Yield the best reply as one delta; with ``logprobs``, those of its tokens follow in empty ones.

        Raises:
            ModelOutputError: if no reply could be used.
            ModelError: what the model raises, and if the score gives no number for each reply.
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
        """Free the model's memory, where it is of a kind that can be freed."""
        close = getattr(self._model, "close", None)
        if callable(close):
            close()

    def _best(self, messages: Sequence[Message], drawn: Sequence[Completion]) -> Completion:
        # Equal replies are scored once; of equal scores the first drawn wins.
        first = {one.text: one for one in reversed(drawn)}
        texts = list(dict.fromkeys(one.text for one in drawn))
        if len(texts) == 1:
            return drawn[0]
        return first[texts[int(np.argmax(checked_scores(self._score, messages, texts)))]]


@dataclass(frozen=True, slots=True)
class Rejection:
    """What came of rejection sampling."""

    examples: list[Example]
    """Inputs with answers that will do; the metadata says of how many drawn (``drawn``), and the ``reward`` if any."""
    inputs: int
    without: list[str]
    """Inputs for which no answer would do."""


def rejection_samples(
    model: ChatModel,
    inputs: Sequence[str],
    check: Check | RewardModel,
    n: int = 4,
    *,
    threshold: float | None = None,
    options: GenerationOptions | None = None,
    shown: Shown = as_user,
    most: int = 1,
    log: str | Path | None = None,
    progress: ProgressCallback | None = None,
) -> Rejection:
    """Draw answers, keep those that will do, and return them as examples to tune on.

    Args:
        model: draws the answers.
        inputs: such as questions.
        check: a function of an input and an answer, such as a test that the answer passes; or a reward model.
        n: answers drawn for each input.
        threshold: of a reward model: the score from which on an answer will do.
        options: of drawing, the temperature above 0; .8 by default.
        shown: how an input is shown to the model, as a single message by default. Shots that help it to draw better
            answers need not be in what is tuned on later.
        most: examples of an input; the first that will do, or those with the highest reward.
        log: a JSON Lines file that keeps what is drawn; a run that was broken off goes on from there, and another
            check or threshold draws nothing anew.
        progress: called with a ``Progress`` after each input.

    Raises:
        SettingsError: if a threshold is given with a function or none with a reward model, ``most`` is below 1, or the
            log is of another run.
        ModelError: what the model raises.
    """
    judged = getattr(check, "score", None)
    if most < 1 or (judged is None) != (threshold is None):
        raise SettingsError(
            f"most={most} and threshold={threshold} can't be for {type(check).__name__}.",
            "Give most=1 or more, and a threshold with a reward model and with nothing else.",
        )
    drawn = draw_all(
        model,
        inputs,
        n,
        options or GenerationOptions(temperature=0.8),
        shown=shown,
        log=log,
        progress=progress,
    )
    found: list[Example] = []
    without: list[str] = []
    for one in drawn:
        answers = list(dict.fromkeys(reply for reply in one.replies if reply))
        kept: list[Example] = []
        if judged is None:
            good = [answer for answer in answers if check(one.input, answer)]  # type: ignore[operator]
            kept = [Example(one.input, answer, {"drawn": n}) for answer in good]
        elif answers:
            scores = checked_scores(judged, shown(one.input), answers)
            pairs = sorted(zip(scores.tolist(), answers, strict=True), key=lambda pair: -pair[0])
            kept = [
                Example(one.input, answer, {"drawn": n, "reward": score})
                for score, answer in pairs
                if threshold is not None and score >= threshold
            ]
        found += kept[:most]
        if not kept:
            without.append(one.input)
    return Rejection(found, len(inputs), without)


def scorer(score: RewardModel | Score) -> Score:
    """Return a reward model's ``score``, or a function as it is."""
    own: Score | None = getattr(score, "score", None)
    return own or cast("Score", score)


def checked_scores(
    score: Score, prompt: Prompt, answers: Sequence[str]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the score of each answer, float64 ``[answers]``.

    Raises:
        ModelError: if there is not one finite number for each.
    """
    found = np.asarray(score(prompt, answers), dtype=np.float64)
    if found.shape != (len(answers),) or not np.isfinite(found).all():
        raise ModelError(
            f"The score gave {found.tolist()} for {len(answers)} answers.", "It has to give a finite number for each."
        )
    return found
