"""Shared by tasks that generate text: a folder, the best setting, and prompts with examples."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from ragkit._progress import Progress, ProgressCallback
from ragkit.errors import PromptOverflowError, TaskError
from ragkit.examples import ExamplePool
from ragkit.models import ChatModel
from ragkit.records import Example, Message
from ragkit.tasks.base import Explanation, FitBudget, close_model, filled_pool, write_task
from ragkit.tasks.fitting import FitReport, race
from ragkit.tasks.shot_prompts import ShotPrompts, ShotSetting, guarded

_MEASURED = 20
"""Number of the longest replies, in characters, whose tokens are counted."""


@dataclass(frozen=True, slots=True)
class ShotTaskSettings:
    """Saved settings of a task."""

    model: str
    """Name of the model."""
    setting: ShotSetting
    max_tokens: int
    """Maximum tokens of a reply."""


class ShotTask:
    """A task in its folder. Create it with ``fit`` or ``open`` of its class."""

    kind: ClassVar[str]

    def __init__(
        self, path: Path, pool: ExamplePool, model: ChatModel, settings: ShotTaskSettings, *, owns_model: bool
    ) -> None:
        self.path = path
        self.pool = pool
        self.model = model
        self.report: FitReport[ShotSetting] | None = None
        """Report of the fit; None for an opened task."""
        self.refused: tuple[str, ...] = ()
        """Reasons for refused examples, one per example."""
        self._settings = settings
        self._owns_model = owns_model
        self._prompts = ShotPrompts(pool, model, settings.setting, settings.max_tokens)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def setting(self) -> ShotSetting:
        """Setting of the prompts."""
        return self._settings.setting

    def explain(self, text: str) -> Explanation:
        """Return the examples and the prompt for an input, without calling the model.

        Raises:
            QueryError: if the input is empty.
            PromptOverflowError: if it does not fit the model's window.
        """
        made = self._prompts.prompt(text)
        return Explanation(text, made.shots, made.messages)

    def save(self, path: str | Path) -> None:
        """Copy the task and its examples to a folder, unless it is its own."""
        folder = Path(path).expanduser()
        if folder.resolve() != self.path.resolve():
            pool, _ = filled_pool(folder, self.pool)
            pool.close()
        write_task(folder, self.kind, self._settings)

    def close(self) -> None:
        """Close the pool, and the model if it was opened by name."""
        self.pool.close()
        if self._owns_model:
            close_model(self.model)


def best_setting(
    settings: Sequence[ShotSetting],
    examples: Sequence[Example],
    score: Callable[[ShotPrompts, Example], float],
    prompts: Callable[[ShotSetting], ShotPrompts],
    budget: FitBudget | None = None,
    progress: ProgressCallback | None = None,
) -> FitReport[ShotSetting]:
    """Return the setting with the best score on held-out examples.

    Args:
        settings: candidate settings, the simplest first.
        examples: examples of the pool; some are held out.
        score: returns the score of the answer to an example, 0 to 1.
        prompts: builds the prompts of a setting.
        budget: limits; with 0 calls, the first setting is returned.
        progress: called with a ``Progress`` after each call.

    Raises:
        TaskError: if there are no settings, or fewer calls than settings.
    """
    if not settings:
        raise TaskError("The list of settings is empty.", "Pass one or more, or None for common ones.")
    budget = budget or FitBudget()
    if not budget.max_calls:
        return FitReport(settings[0], (), 0)
    # Each of these is shown the others, and never itself: the leakage guard is on.
    held_out = random.Random(budget.seed).sample(  # noqa: S311
        examples, min(budget.held_out, max(1, len(examples) // 5))
    )
    made = [(setting, prompts(guarded(setting))) for setting in settings]

    def of(setting: ShotSetting, example: Example) -> float:
        try:
            return score(next(own for other, own in made if other is setting), example)
        except PromptOverflowError:
            return 0.0

    def report_progress(done: int, total: int) -> None:
        if progress is not None:
            progress(Progress("fit", done, total))

    return race(settings, of, held_out, budget.max_calls, budget.seed, report_progress)


def longest_reply(model: ChatModel, examples: Sequence[Example], settings: Sequence[ShotSetting]) -> int:
    """Return a limit for replies in tokens, for all settings: twice the longest output of an example, plus a margin."""
    replies = {setting.template.reply(example) for setting in settings for example in examples}
    longest = sorted(replies, key=len)[-_MEASURED:]
    return 16 + 2 * max((model.count_tokens([Message("assistant", text)]) for text in longest), default=0)


@contextmanager
def closed_on_error(pool: ExamplePool) -> Iterator[None]:
    """Close a pool if the block raises."""
    with ExitStack() as opened:
        opened.callback(pool.close)
        yield
        opened.pop_all()
