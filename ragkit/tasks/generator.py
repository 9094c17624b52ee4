"""Generation of a text for each input, by examples."""

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
"""Takes a reply and the expected output; returns a score, 0 to 1."""


def exact(reply: str, wanted: str) -> float:
    """Return 1 if both texts are equal up to case and white space, else 0."""
    return float(reply.casefold().split() == wanted.casefold().split())


METRICS: Mapping[str, Metric] = {"token_f1": token_f1, "exact": exact}


@dataclass(frozen=True, slots=True)
class GeneratorPrediction:
    """Text generated for one input."""

    text: str
    shots: tuple[Shot, ...]
    cut: bool = False
    """Whether the reply was truncated at ``max_tokens``."""
    error: str = ""
    """Reason why there is no text; empty if there is one."""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class GeneratorSettings(ShotTaskSettings):
    """Saved settings of a ``Generator``."""

    stop: tuple[str, ...]
    """Stop sequences."""


class Generator(ShotTask):
    """Generates texts, by examples. Create it with ``fit`` or ``open``."""

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
        """Fit a task and write it to a folder.

        Args:
            path: the task's folder; examples are added to its pool if it has one.
            examples: inputs with their expected outputs.
            model: a model or its name; by default ``default``.
            instruction: instruction in the prompt, if the examples alone are not clear.
            metric: metric for choosing a setting: ``token_f1``, ``exact``, or a function of reply and expected output.
            budget: limits for choosing a setting on held-out examples.
            settings: candidate settings, the simplest first; by default some common ones.
            max_tokens: maximum tokens of a reply; by default twice those of the longest output.
            embedder: embedder of a new pool.
            progress: called with a ``Progress`` after each step.

        Raises:
            TaskError: if there are no examples.
            SettingsError: if the metric is unknown.
        """
        if isinstance(metric, str) and metric not in METRICS:
            raise SettingsError(f"Unknown metric {metric!r}.", f"Legal values: {', '.join(METRICS)}, or a function.")
        if max_tokens is not None and max_tokens < 1:
            raise SettingsError(f"max_tokens must be >= 1, got {max_tokens}.", "Pass a larger value.")
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
            # If all outputs have one line, so has the reply; otherwise it ends where a further example would begin.
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
            path: the task's folder.
            model: a model or its name; by default the one it was fitted with.

        Raises:
            TaskError: if there is no task, or its file is damaged.
        """
        folder = Path(path).expanduser()
        saved: GeneratorSettings = read_task(folder, cls.kind, GeneratorSettings)
        pool = ExamplePool.open(folder / POOL)
        writer = as_model(model, saved.model)
        return cls(folder, pool, writer, saved, owns_model=writer is not model)

    def predict(self, inputs: Sequence[str], progress: ProgressCallback | None = None) -> list[GeneratorPrediction]:
        """Return a text for each input, in order. If one fails, its ``error`` is set, and the others are processed.

        Args:
            inputs: texts.
            progress: called with a ``Progress`` after each text.

        Raises:
            ModelError: if the error concerns all texts, such as a rejected API key.
        """

        def answer(_: str, made: ShotPrompt) -> GeneratorPrediction:
            return _written(self.model, self._options, made)

        def failed(error: str) -> GeneratorPrediction:
            return GeneratorPrediction("", (), error=error)

        return answered(self._prompts, inputs, answer, failed, progress)


def _written(model: ChatModel, options: GenerationOptions, made: ShotPrompt) -> GeneratorPrediction:
    got = reply(model, made.messages, options)
    return GeneratorPrediction(got.text.strip(), made.shots, got.finish == "length", got.error, got.usage)
