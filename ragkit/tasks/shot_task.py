"""What tasks that let a model write have in common: a folder, a setting that won, and prompts with examples."""

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
"""Of the longest replies in characters, so many are counted in tokens."""


@dataclass(frozen=True, slots=True)
class ShotTaskSettings:
    """What is saved of such a task."""

    model: str
    """The name by which it is opened."""
    setting: ShotSetting
    max_tokens: int
    """Of a reply."""


class ShotTask:
    """A task in its folder; made by ``fit`` or ``open`` of its class."""

    kind: ClassVar[str]

    def __init__(
        self, path: Path, pool: ExamplePool, model: ChatModel, settings: ShotTaskSettings, *, owns_model: bool
    ) -> None:
        self.path = path
        self.pool = pool
        self.model = model
        self.report: FitReport[ShotSetting] | None = None
        """What the fit tried; None once it is opened again."""
        self.refused: tuple[str, ...] = ()
        """Why, a line for each example that the fit did not take."""
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
        """Which examples are shown, and how."""
        return self._settings.setting

    def explain(self, text: str) -> Explanation:
        """Return the examples and the prompt for an input; no model is asked.

        Raises:
            QueryError: if the input is empty.
            PromptOverflowError: if it does not fit the model's window.
        """
        made = self._prompts.prompt(text)
        return Explanation(text, made.shots, made.messages)

    def save(self, path: str | Path) -> None:
        """Write the task and its examples to a folder; in its own folder it stands already."""
        folder = Path(path).expanduser()
        if folder.resolve() != self.path.resolve():
            pool, _ = filled_pool(folder, self.pool)
            pool.close()
        write_task(folder, self.kind, self._settings)

    def close(self) -> None:
        """Let go of the pool's files, and of the model where it was opened by its name."""
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
    """Return which setting does best on examples that it is asked about without being shown them.

    Args:
        settings: the simplest first.
        examples: of the pool; some are held out.
        score: of the answer to an example, 0 to 1.
        prompts: makes those of a setting.
        budget: of calls; with 0 of them the first setting is taken untried.
        progress: called with a ``Progress`` after each call.

    Raises:
        TaskError: if there are no settings, or too few calls to try each.
    """
    if not settings:
        raise TaskError("There are no settings to choose from.", "Give one or more, or none for the usual ones.")
    budget = budget or FitBudget()
    if not budget.calls:
        return FitReport(settings[0], (), 0)
    # Each of these sees the others, and never itself: the guard is on.
    held_out = random.Random(budget.seed).sample(  # noqa: S311
        examples, min(budget.held_out, max(1, len(examples) // 5))
    )
    made = [(setting, prompts(guarded(setting))) for setting in settings]

    def of(setting: ShotSetting, example: Example) -> float:
        try:
            return score(next(own for other, own in made if other is setting), example)
        except PromptOverflowError:
            return 0.0

    def told(done: int, total: int) -> None:
        if progress is not None:
            progress(Progress("fit", done, total))

    return race(settings, of, held_out, budget.calls, budget.seed, told)


def longest_reply(model: ChatModel, examples: Sequence[Example], settings: Sequence[ShotSetting]) -> int:
    """Return room for a reply in tokens, under any of the settings: twice the longest of an example, and some more."""
    replies = {setting.template.reply(example) for setting in settings for example in examples}
    longest = sorted(replies, key=len)[-_MEASURED:]
    return 16 + 2 * max((model.count_tokens([Message("assistant", text)]) for text in longest), default=0)


@contextmanager
def closed_on_error(pool: ExamplePool) -> Iterator[None]:
    """Let go of a pool's files where what is done inside fails."""
    with ExitStack() as opened:
        opened.callback(pool.close)
        yield
        opened.pop_all()
