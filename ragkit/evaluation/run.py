"""Runs an evaluation; an interrupted run can be resumed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ragkit._files import append_line, read_rows
from ragkit._progress import Progress, ProgressCallback
from ragkit.answering import Assistant
from ragkit.answering.chat import check_reply
from ragkit.answering.question import understand
from ragkit.answering.search import search
from ragkit.errors import RagkitError, SettingsError
from ragkit.evaluation.gold import Gold, find_gold
from ragkit.evaluation.outcome import QUESTION_RESULT, QuestionResult, answered, failed, retrieved
from ragkit.evaluation.questions import Question
from ragkit.evaluation.report import FORMAT, EvalReport
from ragkit.indexing.database import write_errors
from ragkit.records import Answer
from ragkit.retrieval import Retriever

JudgeAll = Callable[[Iterable[tuple[Question, Gold]]], Generator[QuestionResult | RagkitError, None, None]]
"""Yields the result of each question in order, or the error that it raised."""
_DEPTH = 10
"""Passages that are judged, however many the answer is made from: as far down as the measures look."""


def evaluate(
    assistant: Assistant,
    questions: Sequence[Question],
    *,
    retrieval_only: bool = False,
    name: str = "",
    work: str | Path | None = None,
    judge_all: JudgeAll | None = None,
    progress: ProgressCallback | None = None,
) -> EvalReport:
    """Ask every question and judge the results.

    An error in one question is recorded, and the others are processed. With a work file, an interrupted run is resumed,
    and failed questions are asked again; stored results are used only for the same question, settings and documents.

    Args:
        assistant: answers the questions.
        questions: questions with unique ids.
        retrieval_only: only search; no answer is made and no model is needed.
        name: run name shown in reports; derived from the configuration by default.
        work: a JSON Lines file to which outcomes are appended.
        judge_all: asks the questions without a stored result, instead of ``assistant`` in this thread; it must give
            the same results, such as by the same assistant in several processes.
        progress: called after each question, with the stage ``questions``.

    Raises:
        SettingsError: if there are no questions, or two have the same id.
        ModelError: if the model can't be loaded.
        IndexWriteError: if the work file can't be written.
        RagkitError: if every question failed, the last one's error.
    """
    if not questions:
        raise SettingsError("There are no questions.", "Pass at least one: read_questions(path)")
    if len({question.id for question in questions}) < len(questions):
        raise SettingsError("Two questions have the same id.", "Use a unique id for each question.")
    index = assistant.index
    config = _config(assistant, retrieval_only=retrieval_only)
    about = {
        "path": str(index.path),
        "fingerprint": index.fingerprint(),
        "documents": index.document_count,
        "chunks": index.chunk_count,
        "embedding_model": index.embedder.model_id,
    }
    gold = find_gold(index, questions)
    kept = _Work(None if work is None else Path(work).expanduser(), config, about)
    outcomes: list[QuestionResult] = []
    last: RagkitError | None = None
    asked = [(question, gold[question.id]) for question in questions if kept.get(question) is None]
    if judge_all is None:
        judge_all = partial(_judge_each, assistant, retrieval_only)
    with closing(judge_all(asked)) as judged:
        for number, question in enumerate(questions):
            if progress is not None:
                progress(Progress("questions", number, len(questions), question.question))
            outcome = kept.get(question)
            if outcome is None:
                found = next(judged)
                if isinstance(found, RagkitError):
                    outcome, last = failed(question, gold[question.id], found), found
                else:
                    outcome = found
                    kept.put(question, outcome)
            outcomes.append(outcome)
    if progress is not None:
        progress(Progress("questions", len(questions), len(questions)))
    if last is not None and all(outcome.error for outcome in outcomes):
        raise last
    return EvalReport(name or _name(config), config, about, tuple(outcomes))


def groundedness(answer: Answer, assistant: Assistant) -> float | None:
    """Return the share of an answer's sentences that its sources support; None for an abstention.

    In ``chat`` mode, each sentence is checked against the sources in the prompt, as in answering. In other modes, it is
    the share of quotes that occur verbatim in their documents.
    """
    if answer.abstained:
        return None
    prompt = answer.trace.prompt
    if answer.mode == "chat" and prompt is not None:
        return check_reply(answer.trace.reply, prompt.sources, assistant.index.embedder).supported_share
    there = [c.quote == assistant.index.document(c.document_id).text[c.start : c.end] for c in answer.citations]
    return sum(there) / len(there) if there else 0.0


def _judge_each(
    assistant: Assistant, retrieval_only: bool, asked: Iterable[tuple[Question, Gold]]
) -> Generator[QuestionResult | RagkitError, None, None]:
    for question, gold in asked:
        try:
            yield judge(assistant, question, gold, retrieval_only=retrieval_only)
        except RagkitError as error:
            yield error


def judge(assistant: Assistant, question: Question, gold: Gold, *, retrieval_only: bool) -> QuestionResult:
    """Ask a question, and judge the result."""
    options = assistant.options.retrieval
    if retrieval_only:
        asked = understand(question.question, question.history)
        started = time.perf_counter()
        found = search(asked, Retriever(assistant.index, replace(options, k=max(_DEPTH, options.k))))
        return retrieved(question, gold, found.hits, {"retrieve": time.perf_counter() - started}, asked.kind)
    answer = assistant.ask(question.question, history=question.history)
    hits = answer.trace.hits
    if len(hits) < _DEPTH and not options.diversity:
        shown = {hit.chunk.key for hit in hits}
        further = assistant.retriever.search(answer.trace.query, _DEPTH)
        hits = (*hits, *(hit for hit in further if hit.chunk.key not in shown))[:_DEPTH]
    return answered(question, gold, hits, answer, groundedness(answer, assistant))


def _config(assistant: Assistant, *, retrieval_only: bool) -> dict[str, Any]:
    """Return everything that decides what comes out, as plain values."""
    readers = {kind: [one.name for one in own] for kind, own in assistant.options.readers.items()}
    options = json.loads(json.dumps(asdict(replace(assistant.options, readers={})), default=str))
    # By name: what Python prints of an object differs from process to process, and a run would never be resumed.
    options["readers"] = readers
    if retrieval_only:
        return {"way": "retrieval only", "retrieval": options["retrieval"]}
    model = None if assistant.mode == "quotes" else assistant.model
    found = {"way": assistant.mode, "model": None if model is None else model.name, **options}
    pool = getattr(assistant.examples, "pool", None)
    if assistant.examples is not None:
        kind = type(assistant.examples).__name__
        found["examples"] = {"selector": kind, "pool": pool and pool.index.fingerprint()}
    return found


def _name(config: Mapping[str, Any]) -> str:
    if "model" not in config:
        return f"retrieval, {config['retrieval']['mode']}"
    parts = [str(config["way"]), str(config["model"] or "no model")]
    if "examples" in config:
        parts.append(f"shots: {config['shots']}")
    return ", ".join(parts)


class _Work:
    """Outcomes in a JSON Lines file; an incomplete last line is ignored."""

    def __init__(self, file: Path | None, config: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        self._file = file
        self._asked = [FORMAT, config, about["fingerprint"], about["embedding_model"]]
        self._known: dict[str, QuestionResult] = {}
        if file is not None:
            with write_errors(file.parent):
                file.parent.mkdir(parents=True, exist_ok=True)
        for row in read_rows(file):
            try:
                self._known[row["key"]] = QUESTION_RESULT.validate_python(row["outcome"])
            except (ValidationError, KeyError, TypeError):
                continue

    def get(self, question: Question) -> QuestionResult | None:
        return self._known.get(self._key(question))

    def put(self, question: Question, outcome: QuestionResult) -> None:
        if self._file is not None:
            with write_errors(self._file.parent):
                append_line(self._file, {"key": self._key(question), "outcome": outcome.to_dict()})

    def _key(self, question: Question) -> str:
        return hashlib.sha256(json.dumps([*self._asked, question.to_dict()], sort_keys=True).encode()).hexdigest()
