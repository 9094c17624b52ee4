"""A task that writes a text for each input, as examples show it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from ragkit._progress import ProgressCallback
from ragkit.errors import SettingsError
from ragkit.examples import ExamplePool, Shot
from ragkit.models import ChatModel, GenerationOptions
from ragkit.records import Example, Usage
from ragkit.tasks.base import POOL, FitBudget, as_model, filled_pool, read_task
from ragkit.tasks.metrics import token_f1
from ragkit.tasks.replies import answered, reply
from ragkit.tasks.shot_prompts import ShotPrompt, ShotPrompts, ShotSetting, usual_settings
from ragkit.tasks.shot_task import ShotTask, ShotTaskSettings, best_setting, closed_on_error, longest_reply

if TYPE_CHECKING:
    from ragkit.embedding import Embedder

Metric = Callable[[str, str], float]
"""Of a reply and the wanted output: 0 to 1."""


def exact(reply: str, wanted: str) -> float:
    """Return 1 where both texts are the same but for case and white space, else 0."""
    return float(reply.casefold().split() == wanted.casefold().split())


METRICS: Mapping[str, Metric] = {"token_f1": token_f1, "exact": exact}


@dataclass(frozen=True, slots=True)
class GeneratorPrediction:
    """What was written for one input."""

    text: str
    shots: tuple[Shot, ...]
    cut: bool = False
    """Whether the reply went on past ``max_tokens``."""
    error: str = ""
    """Why there is no text; empty where there is one."""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class GeneratorSettings(ShotTaskSettings):
    """What is saved of a ``Generator``."""

    stop: tuple[str, ...]
    """A reply ends before any of these."""


class Generator(ShotTask):
    """Writes texts, as examples show it; made by ``fit`` or ``open``."""

    kind: ClassVar[str] = "generator"

    def __init__(
        self, path: Path, pool: ExamplePool, model: ChatModel, settings: GeneratorSettings, *, owns_model: bool
    ) -> None:
        super().__init__(path, pool, model, settings, owns_model=owns_model)
        self._options = GenerationOptions(settings.max_tokens, stop=settings.stop)

    @classmethod
    def fit(
        cls,
        path: str | Path,
        examples: Iterable[Example] | ExamplePool,
        *,
        model: ChatModel | str | None = None,
        instruction: str = "",
        metric: str | Metric = "token_f1",
        budget: FitBudget | None = None,
        settings: Sequence[ShotSetting] | None = None,
        max_tokens: int | None = None,
        embedder: Embedder | str | None = None,
        progress: ProgressCallback | None = None,
    ) -> Self:
        """Teach a task and write it to a folder.

        Args:
            path: the folder; its pool, where it has one, is added to.
            examples: inputs with the texts that are wanted for them.
            model: a model or its name; by default ``default``.
            instruction: what to do, where the examples do not tell it by themselves.
            metric: what settings are chosen by: ``token_f1``, ``exact``, or a function of reply and wanted output.
            budget: for choosing among the settings on held-out examples.
            settings: to choose among, the simplest first; by default some usual ones.
            max_tokens: of a reply; by default twice those of the longest output.
            embedder: for a new pool.
            progress: called with a ``Progress`` as work goes on.

        Raises:
            TaskError: if there are no examples.
            SettingsError: if the metric is not known.
        """
        if isinstance(metric, str) and metric not in METRICS:
            raise SettingsError(f"Unknown metric {metric!r}.", f"Legal values: {', '.join(METRICS)}, or a function.")
        if max_tokens is not None and max_tokens < 1:
            raise SettingsError(f"max_tokens={max_tokens} can't be.", "Give 1 or more.")
        measure = METRICS[metric] if isinstance(metric, str) else metric
        given = list(examples)
        if isinstance(examples, ExamplePool):
            embedder = embedder or examples.index.embedder
        writer = as_model(model)
        folder = Path(path).expanduser()
        pool, added = filled_pool(folder, given, embedder)
        with closed_on_error(pool):
            taken = list(pool)
            tried = list(usual_settings(instruction) if settings is None else settings)
            tokens = max_tokens or longest_reply(writer, taken, tried)
            # Where every example is of one line, so is every reply; else one ends where a further example would begin.
            names = sorted({setting.template.input_name for setting in tried})
            lines = any("\n" in example.output for example in taken)
            stop = tuple(f"\n{name}:" for name in names) if lines else ("\n",)
            options = GenerationOptions(tokens, stop=stop)

            def score(prompts: ShotPrompts, example: Example) -> float:
                found = _written(writer, options, prompts.prompt(example.input))
                return 0.0 if found.error else measure(found.text, example.output)

            report = best_setting(
                tried, taken, score, lambda setting: ShotPrompts(pool, writer, setting, tokens), budget, progress
            )
            name = model if isinstance(model, str) else writer.name
            task = cls(
                folder,
                pool,
                writer,
                GeneratorSettings(name, report.best, tokens, stop),
                owns_model=writer is not model,
            )
            task.report = report
            task.refused = added.refused
            task.save(folder)
        return task

    @classmethod
    def open(cls, path: str | Path, model: ChatModel | str | None = None) -> Self:
        """Open a task.

        Args:
            path: its folder.
            model: a model or its name; by default the one of before.

        Raises:
            TaskError: if there is no such task, or its file is damaged.
        """
        folder = Path(path).expanduser()
        saved: GeneratorSettings = read_task(folder, cls.kind, GeneratorSettings)
        pool = ExamplePool.open(folder / POOL)
        writer = as_model(model, saved.model)
        return cls(folder, pool, writer, saved, owns_model=writer is not model)

    def predict(self, inputs: Sequence[str], progress: ProgressCallback | None = None) -> list[GeneratorPrediction]:
        """Return what is written for each input, in their order; one that fails has an ``error``, the others go on.

        Args:
            inputs: texts.
            progress: called with a ``Progress`` after each.

        Raises:
            ModelError: if what is wrong is wrong for all, such as a refused key.
        """

        def answer(_: str, made: ShotPrompt) -> GeneratorPrediction:
            return _written(self.model, self._options, made)

        def failed(error: str) -> GeneratorPrediction:
            return GeneratorPrediction("", (), error=error)

        return answered(self._prompts, inputs, answer, failed, progress)


def _written(model: ChatModel, options: GenerationOptions, made: ShotPrompt) -> GeneratorPrediction:
    got = reply(model, made.messages, options)
    return GeneratorPrediction(got.text.strip(), made.shots, got.finish == "length", got.error, got.usage)
