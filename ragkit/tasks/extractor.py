"""Extraction of fields from a text: results are valid for a schema, and their strings are located in the text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ragkit._progress import ProgressCallback
from ragkit.errors import ModelOutputError, SettingsError, TaskError
from ragkit.examples import ExamplePool, Shot
from ragkit.models import ChatModel, GenerationOptions
from ragkit.records import Example, Message, Usage
from ragkit.tasks.base import POOL, FitBudget, as_model, filled_pool, read_task
from ragkit.tasks.quotes import Span, field_accuracy, quoted
from ragkit.tasks.replies import answered, reply
from ragkit.tasks.schemas import Form, Schema
from ragkit.tasks.shot_prompts import ShotPrompt, ShotPrompts, ShotSetting, usual_settings
from ragkit.tasks.shot_task import ShotTask, ShotTaskSettings, best_setting, closed_on_error, longest_reply

if TYPE_CHECKING:
    from ragkit.embedding import Embedder

_RETRY_TEMPERATURE = 0.7


@dataclass(frozen=True, slots=True)
class ExtractorPrediction:
    """Fields extracted from one text."""

    value: Any
    """Instance of the pydantic model, or a dictionary if the task was opened without one; None on an error."""
    spans: Mapping[str, Span | None]
    """Span of each string of the value in the input, by its path such as ``items[0].name``: ``input[start:end]`` is the
    string, up to case and white space if there is no exact match. None if the string is not in the input."""
    text: str
    """Reply of the model, JSON unless there is an error."""
    shots: tuple[Shot, ...]
    error: str = ""
    """Reason why there is no value; empty if there is one."""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class ExtractorSettings(ShotTaskSettings):
    """Saved settings of an ``Extractor``."""

    schema: dict[str, Any]
    """JSON schema of the values."""
    attempts: int
    """Maximum number of attempts to get a valid reply."""


class Extractor(ShotTask):
    """Extracts fields from texts, by examples. Create it with ``fit`` or ``open``.

    Generation is constrained to the schema. A truncated reply, or one that fails a check that no grammar can express
    (such as a validator of the pydantic model), is retried and then reported as an error.
    """

    kind: ClassVar[str] = "extractor"

    def __init__(
        self,
        path: Path,
        pool: ExamplePool,
        model: ChatModel,
        settings: ExtractorSettings,
        form: Form,
        *,
        owns_model: bool,
    ) -> None:
        super().__init__(path, pool, model, settings, owns_model=owns_model)
        self._form = form
        self._attempts = settings.attempts

    @property
    def json_schema(self) -> Mapping[str, Any]:
        """JSON schema of the values."""
        return self._form.json_schema

    @classmethod
    def fit(
        cls,
        path: str | Path,
        examples: Iterable[Example] | ExamplePool,
        *,
        schema: Schema,
        model: ChatModel | str | None = None,
        instruction: str = "",
        budget: FitBudget | None = None,
        settings: Sequence[ShotSetting] | None = None,
        max_tokens: int | None = None,
        attempts: int = 2,
        embedder: Embedder | str | None = None,
        progress: ProgressCallback | None = None,
    ) -> Self:
        """Fit a task and write it to a folder.

        Args:
            path: the task's folder; examples are added to its pool if it has one.
            examples: examples whose outputs are JSON of the schema. Invalid ones are skipped and listed in ``refused``.
            schema: a pydantic model, or a JSON schema of an object.
            model: a model or its name; by default ``default``.
            instruction: instruction in the prompt; by default it lists the fields.
            budget: limits for choosing a setting, by mean ``field_accuracy`` on held-out examples.
            settings: candidate settings, the simplest first; by default some common ones.
            max_tokens: maximum tokens of a reply; by default twice those of the longest output.
            attempts: maximum number of attempts to get a valid reply.
            embedder: embedder of a new pool.
            progress: called with a ``Progress`` after each step.

        Raises:
            TaskError: if no example is valid, or the schema is not of an object.
            ModelError: if the model does not support the schema.
        """
        if attempts < 1 or (max_tokens is not None and max_tokens < 1):
            raise SettingsError(
                f"attempts and max_tokens must be >= 1, got attempts={attempts} and max_tokens={max_tokens}.",
                "Pass larger values.",
            )
        form = Form(schema)
        valid, refused = _valid(form, examples)
        if not valid:
            raise TaskError(
                "No example's output is valid for the schema.", "\n".join(refused[:5]) or "Pass at least one."
            )
        if isinstance(examples, ExamplePool):
            embedder = embedder or examples.index.embedder
        writer = as_model(model)
        folder = Path(path).expanduser()
        pool, added = filled_pool(folder, valid, embedder)
        with closed_on_error(pool):
            if len(pool) > len(valid):
                _check_pool(form, pool, folder)
            tried = list(usual_settings(instruction or form.default_instruction()) if settings is None else settings)
            tokens = max_tokens or longest_reply(writer, valid, tried)

            def score(prompts: ShotPrompts, example: Example) -> float:
                found = _answered(writer, form, tokens, 1, example.input, prompts.prompt(example.input))
                if found.error:
                    return 0.0
                return field_accuracy(form.plain(found.value), form.plain(form.read(example.output)))

            report = best_setting(
                tried, valid, score, lambda setting: ShotPrompts(pool, writer, setting, tokens), budget, progress
            )
            if not report.calls:
                _check_held(writer, form)
            name = model if isinstance(model, str) else writer.name
            saved = ExtractorSettings(name, report.best, tokens, form.json_schema, attempts)
            task = cls(folder, pool, writer, saved, form, owns_model=writer is not model)
            task.report = report
            task.refused = (*refused, *added.refused)
            task.save(folder)
        return task

    @classmethod
    def open(cls, path: str | Path, model: ChatModel | str | None = None, *, schema: type[Any] | None = None) -> Self:
        """Open a task.

        Args:
            path: the task's folder.
            model: a model or its name; by default the one it was fitted with.
            schema: the pydantic model that the task was fitted with; without it, values are dictionaries.

        Raises:
            TaskError: if there is no task, its file is damaged, or the schema differs.
        """
        folder = Path(path).expanduser()
        saved: ExtractorSettings = read_task(folder, cls.kind, ExtractorSettings)
        form = Form(saved.schema if schema is None else schema)
        form.check_same(saved.schema)
        pool = ExamplePool.open(folder / POOL)
        writer = as_model(model, saved.model)
        return cls(folder, pool, writer, saved, form, owns_model=writer is not model)

    def predict(self, inputs: Sequence[str], progress: ProgressCallback | None = None) -> list[ExtractorPrediction]:
        """Return the fields of each text, in order. If one fails, its ``error`` is set, and the others are processed.

        Args:
            inputs: texts.
            progress: called with a ``Progress`` after each text.

        Raises:
            ModelError: if the error concerns all texts, such as a rejected API key.
        """

        def answer(text: str, made: ShotPrompt) -> ExtractorPrediction:
            return _answered(self.model, self._form, self._settings.max_tokens, self._attempts, text, made)

        def failed(error: str) -> ExtractorPrediction:
            return ExtractorPrediction(None, {}, "", (), error)

        return answered(self._prompts, inputs, answer, failed, progress)


def _answered(
    model: ChatModel, form: Form, max_tokens: int, attempts: int, text: str, made: ShotPrompt
) -> ExtractorPrediction:
    usage, error, came = Usage(cost=0.0), "", ""
    for attempt in range(attempts):
        # At temperature 0, the same prompt would get the same reply.
        options = GenerationOptions(
            max_tokens, _RETRY_TEMPERATURE if attempt else 0.0, attempt, json_schema=form.json_schema
        )
        got = reply(model, made.messages, options)
        usage, error, came = usage + got.usage, got.error, got.text
        if error:
            continue
        try:
            value = form.read(came)
        except ValueError as problem:
            error = f"The reply is not valid: {problem}"
            continue
        return ExtractorPrediction(value, quoted(text, form.plain(value)), came, made.shots, "", usage)
    return ExtractorPrediction(None, {}, came, made.shots, error, usage)


def _valid(form: Form, examples: Iterable[Example]) -> tuple[list[Example], list[str]]:
    """Return the examples with normalised outputs, and why others are refused."""
    kept: list[Example] = []
    refused: list[str] = []
    for number, example in enumerate(examples, 1):
        try:
            value = form.read(example.output)
        except ValueError as error:
            refused.append(f"Example {number} ({example.input[:40]!r}) has an invalid output: {error}")
        else:
            kept.append(Example(example.input, form.written(value), example.metadata))
    return kept, refused


def _check_pool(form: Form, pool: ExamplePool, folder: Path) -> None:
    """Check that the existing examples of the pool are valid."""
    _, refused = _valid(form, pool)
    if refused:
        raise TaskError(
            f"{folder} contains {len(refused)} examples that are not valid for the schema, such as: {refused[0]}.",
            "Use another folder, or remove them from its pool.",
        )


def _check_held(model: ChatModel, form: Form) -> None:
    stream = model.stream([Message("user", "{}")], GenerationOptions(1, json_schema=form.json_schema))
    try:
        next(stream)
    except ModelOutputError:
        pass  # One token is not a complete reply.
    finally:
        close = getattr(stream, "close", None)
        if callable(close):
            close()
