"""The assistant that ``ragkit eval`` asks, in this process or in each of several workers."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ragkit.cli.asking import answer_options
from ragkit.cli.pools import opened_pool
from ragkit.cli.tasks import opened_model
from ragkit.cli.workers import check_same, worker_settings
from ragkit.errors import RagkitError, SettingsError

if TYPE_CHECKING:
    from ragkit._workers import Work, WorkerPool
    from ragkit.answering import Assistant
    from ragkit.evaluation import Question
    from ragkit.evaluation.gold import Gold
    from ragkit.evaluation.outcome import QuestionResult
    from ragkit.indexing import Index
    from ragkit.settings import Settings

WORK = "ragkit.cli.eval_assistant:open_judge"


@dataclass(frozen=True, slots=True)
class AssistantSetup:
    """The options of the command that decide how questions are answered."""

    model: str
    mode: str
    k: int | None = None
    search: str = "hybrid"
    threshold: float | None = None
    unsure_below: float | None = None
    pool: str | None = None
    shots: int = 4
    retrieval_only: bool = False
    as_teacher: bool = False


@contextmanager
def opened_assistant(index: Index, settings: Settings, setup: AssistantSetup) -> Iterator[Assistant]:
    """Yield the assistant.

    Raises:
        SettingsError: if a teacher is asked for and there is no model to be one.
    """
    from ragkit.answering import Assistant

    options = answer_options(settings, k=setup.k, threshold=setup.threshold, unsure_below=setup.unsure_below)
    retrieval = replace(options.retrieval, mode=setup.search)  # type: ignore[arg-type]
    options = replace(options, retrieval=retrieval, shots=setup.shots)
    with nullcontext() if setup.pool is None else opened_pool(setup.pool, settings) as examples:
        assistant = Assistant(
            index,
            model=None if setup.model == "none" or setup.retrieval_only else opened_model(setup.model, settings),
            mode="quotes" if setup.retrieval_only else setup.mode,  # type: ignore[arg-type]
            options=options,
            examples=examples,
        )
        if setup.as_teacher:
            from ragkit.datagen.imitate import teacher_assistant

            if assistant.model is None or assistant.mode != "chat":
                raise SettingsError(
                    "A teacher writes its answers.", "Name a model: --mode chat --model NAME --as-teacher"
                )
            _, assistant = teacher_assistant(index, assistant.model, options)
        yield assistant


def worker_setup(index: Index, setup: AssistantSetup) -> dict[str, Any]:
    """Return the argument of ``open_judge``."""
    path = str(index.path.resolve())
    return {"index": path, "fingerprint": index.fingerprint(), "assistant": asdict(setup)}


@contextmanager
def open_judge(setup: Any) -> Iterator[Work]:
    """Open the assistant in a worker, and yield a function that asks it one question."""
    from pydantic import TypeAdapter

    from ragkit.evaluation.gold import Gold
    from ragkit.evaluation.questions import Question
    from ragkit.evaluation.run import judge
    from ragkit.indexing import Index

    settings, wanted = worker_settings(setup), AssistantSetup(**setup["assistant"])
    read = TypeAdapter(tuple[Question, Gold]).validate_python
    with (
        Index.open(setup["index"], embedder=settings.embedding_model) as index,
        opened_assistant(index, settings, wanted) as assistant,
    ):
        check_same(index, setup["fingerprint"])
        yield lambda item: judge(assistant, *read(item), retrieval_only=wanted.retrieval_only).to_dict()


def judge_by(
    pool: WorkerPool, asked: Iterable[tuple[Question, Gold]]
) -> Generator[QuestionResult | RagkitError, None, None]:
    """Yield the results of questions that the workers ask, in order."""
    from pydantic import TypeAdapter

    from ragkit.evaluation.gold import Gold
    from ragkit.evaluation.outcome import QUESTION_RESULT
    from ragkit.evaluation.questions import Question

    written = TypeAdapter(tuple[Question, Gold])
    for found in pool.map(written.dump_python(one, mode="json") for one in asked):
        yield found if isinstance(found, RagkitError) else QUESTION_RESULT.validate_python(found)
