"""Common parts of all tasks: a folder that stores them, and explanations of predictions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ragkit._files import write_atomically
from ragkit.errors import SettingsError, TaskError
from ragkit.examples import ExamplePool, Shot
from ragkit.examples.pool import PoolReport
from ragkit.models import open_model
from ragkit.records import Example, Message

if TYPE_CHECKING:
    from ragkit.embedding import Embedder
    from ragkit.models import ChatModel

FILE_NAME = "task.json"
POOL = "pool"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Explanation:
    """Explanation of a prediction."""

    input: str
    shots: tuple[Shot, ...]
    messages: tuple[Message, ...]
    """Messages of the prompt."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Score of each candidate answer, if there were several."""


@dataclass(frozen=True, slots=True)
class FitBudget:
    """Limits of a fit."""

    max_calls: int = 400
    """Maximum model calls."""
    held_out: int = 200
    """Number of held-out examples for comparing settings; none is shown in its own prompt."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_calls < 0 or self.held_out < 1:
            raise SettingsError(
                "max_calls must be >= 0 and held_out >= 1, "
                f"got max_calls={self.max_calls} and held_out={self.held_out}.",
                "Pass larger values.",
            )


def filled_pool(
    folder: str | Path, examples: Iterable[Example] | ExamplePool, embedder: Embedder | str | None = None
) -> tuple[ExamplePool, PoolReport]:
    """Add examples to the pool of a task's folder, and return the pool and the report.

    Raises:
        TaskError: if no example is valid; the hint contains the report's reasons.
    """
    if isinstance(examples, ExamplePool):
        embedder = embedder or examples.index.embedder
    pool = ExamplePool.open(Path(folder) / POOL, embedder=embedder, create=True)
    report = pool.add(examples)
    if not len(pool):
        pool.close()
        raise TaskError("There are no training examples.", "; ".join(report.refused[:5]) or "Pass at least one.")
    return pool, report


def write_task(folder: str | Path, kind: str, settings: Any) -> None:
    """Write a task's settings into its folder, atomically.

    Args:
        folder: the task's folder.
        kind: kind of task, such as ``classifier``.
        settings: a dataclass.
    """
    file = Path(folder) / FILE_NAME
    file.parent.mkdir(parents=True, exist_ok=True)
    plain = TypeAdapter(type(settings)).dump_python(settings, mode="json")
    write_atomically(file, json.dumps({"format": FORMAT, "kind": kind, **plain}, ensure_ascii=False, indent=1).encode())


def read_task(folder: str | Path, kind: str, settings: type[Any]) -> Any:
    """Return a task's settings.

    Raises:
        TaskError: if the folder contains no task or one of another kind or format, or the file is damaged.
    """
    found = _read(folder)
    own = found.pop("kind"), found.pop("format")
    if own != (kind, FORMAT):
        raise TaskError(
            f"{folder} contains a task of kind {own[0]!r}, format {own[1]}; expected {kind!r}, format {FORMAT}.",
            "Open it with the class of its kind.",
        )
    try:
        return TypeAdapter(settings).validate_python(found, strict=False)
    except ValidationError as error:
        raise _damaged(folder, error) from error


def task_kind(folder: str | Path) -> str:
    """Return the kind of task in a folder, such as ``classifier``.

    Raises:
        TaskError: if the folder contains no task, or the file is damaged.
    """
    return str(_read(folder)["kind"])


def _read(folder: str | Path) -> dict[str, Any]:
    try:
        found = json.loads((Path(folder) / FILE_NAME).read_text(encoding="utf-8"))
        return {"kind": found["kind"], "format": found["format"], **found}
    except FileNotFoundError as error:
        raise TaskError(
            f"{folder} contains no task.", "Create one with fit, or specify the folder of a task."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, error) from error


def _damaged(folder: str | Path, error: Exception) -> TaskError:
    return TaskError(f"{Path(folder) / FILE_NAME} is damaged: {error}.", "Fit the task again; its pool is kept.")


def as_model(model: ChatModel | str | None, saved: str = "default") -> ChatModel:
    """Return a model: as passed, by name, or the one that a task was saved with."""
    return open_model(model or saved) if model is None or isinstance(model, str) else model


def close_model(model: ChatModel) -> None:
    """Close a model, if it has a ``close`` method."""
    close = getattr(model, "close", None)
    if callable(close):
        close()


def by_shared_beginning(prompts: Sequence[Sequence[Message]]) -> list[int]:
    """Return indices that order prompts by common prefix.

    A local model reuses the evaluated prefix of the previous prompt.
    """
    return sorted(range(len(prompts)), key=lambda n: [(m.role, m.content) for m in prompts[n]])
