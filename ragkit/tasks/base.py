"""What every task has: a folder that it lives in, and a way to see why it said what it said."""

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
    """Why a task said what it said."""

    input: str
    shots: tuple[Shot, ...]
    messages: tuple[Message, ...]
    """The prompt."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """What the answer was chosen by, where it was chosen among several."""


@dataclass(frozen=True, slots=True)
class FitBudget:
    """How much a fit may spend."""

    calls: int = 400
    """Of the model."""
    held_out: int = 200
    """Examples to try settings on, none of which is shown to the model as an example of itself."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.calls < 0 or self.held_out < 1:
            raise SettingsError(
                f"A budget of {self.calls} calls on {self.held_out} examples can't be.",
                "Give calls=0 or more, and held_out=1 or more.",
            )


def filled_pool(
    folder: str | Path, examples: Iterable[Example] | ExamplePool, embedder: Embedder | str | None = None
) -> tuple[ExamplePool, PoolReport]:
    """Return the pool of a task's folder with the examples in it, and what came of adding them.

    Raises:
        TaskError: if no example can be taken; the report's reasons are in it.
    """
    if isinstance(examples, ExamplePool):
        embedder = embedder or examples.index.embedder
    pool = ExamplePool.open(Path(folder) / POOL, embedder=embedder, create=True)
    report = pool.add(examples)
    if not len(pool):
        pool.close()
        raise TaskError("There are no examples to learn from.", "; ".join(report.refused[:5]) or "Give some.")
    return pool, report


def write_task(folder: str | Path, kind: str, settings: Any) -> None:
    """Write a task's settings into its folder, whole or not at all.

    Args:
        folder: of the task.
        kind: of task, such as ``classifier``.
        settings: a dataclass.
    """
    file = Path(folder) / FILE_NAME
    file.parent.mkdir(parents=True, exist_ok=True)
    plain = TypeAdapter(type(settings)).dump_python(settings, mode="json")
    write_atomically(file, json.dumps({"format": FORMAT, "kind": kind, **plain}, ensure_ascii=False, indent=1).encode())


def read_task(folder: str | Path, kind: str, settings: type[Any]) -> Any:
    """Return a task's settings.

    Raises:
        TaskError: if the folder holds no task, one of another kind or format, or its file is damaged.
    """
    found = _read(folder)
    own = found.pop("kind"), found.pop("format")
    if own != (kind, FORMAT):
        raise TaskError(
            f"{folder} holds a task of kind {own[0]!r}, format {own[1]}; asked for is {kind!r}, format {FORMAT}.",
            "Open it with the class of its kind.",
        )
    try:
        return TypeAdapter(settings).validate_python(found, strict=False)
    except ValidationError as error:
        raise _damaged(folder, error) from error


def task_kind(folder: str | Path) -> str:
    """Return the kind of task that a folder holds, such as ``classifier``.

    Raises:
        TaskError: if it holds none, or its file is damaged.
    """
    return str(_read(folder)["kind"])


def _read(folder: str | Path) -> dict[str, Any]:
    try:
        found = json.loads((Path(folder) / FILE_NAME).read_text(encoding="utf-8"))
        return {"kind": found["kind"], "format": found["format"], **found}
    except FileNotFoundError as error:
        raise TaskError(f"{folder} holds no task.", "Make one with fit, or name its folder.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, error) from error


def _damaged(folder: str | Path, error: Exception) -> TaskError:
    return TaskError(f"{Path(folder) / FILE_NAME} is damaged: {error}.", "Fit the task again; its pool is kept.")


def as_model(model: ChatModel | str | None, saved: str = "default") -> ChatModel:
    """Return a model: as given, by name, or the one that a task was saved with."""
    return open_model(model or saved) if model is None or isinstance(model, str) else model


def close_model(model: ChatModel) -> None:
    """Free a model, where it is of a kind that can be."""
    close = getattr(model, "close", None)
    if callable(close):
        close()


def by_shared_beginning(prompts: Sequence[Sequence[Message]]) -> list[int]:
    """Return the numbers of prompts in an order in which those that begin alike follow each other.

    A local model keeps what it has evaluated of the last prompt.
    """
    return sorted(range(len(prompts)), key=lambda n: [(m.role, m.content) for m in prompts[n]])
