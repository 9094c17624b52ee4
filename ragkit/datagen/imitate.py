"""Rows from a teacher model's answers on the user's documents, kept only if the documents support them.

The teacher explains its answer and quotes the passage (Orca, arXiv:2306.02707). The student sees the prompt of ``chat``
without the teacher's instructions. No model judges the rows: each quote must be in a passage that the teacher was
shown, and the existing check must find a source for each other sentence. What such rows teach is measured by
``ragkit.evaluation.imitation``, since imitation may change the style of a model only (arXiv:2305.15717).
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ragkit._progress import Progress, ProgressCallback
from ragkit.answering.assistant import Assistant
from ragkit.answering.chat import abstains, check_reply
from ragkit.answering.events import PromptBuilt
from ragkit.answering.options import AnswerOptions
from ragkit.datagen.inputs import Pair
from ragkit.datagen.ledger import Ledger
from ragkit.datagen.question_run import model_hash, split_of
from ragkit.datagen.rationales import QUOTE, SHORTEST_QUOTE
from ragkit.datagen.report import GenerationReport
from ragkit.datagen.review import current_reviews, reviewed
from ragkit.datagen.rows import DataRow, Decision, Generator, TextSpan
from ragkit.datagen.teacher import INSTRUCTIONS, TEMPLATE, Teacher
from ragkit.errors import DataError
from ragkit.models.base import ChatModel
from ragkit.prompting import PromptAssembler, Source, Templates
from ragkit.tasks.metrics import squad_words

if TYPE_CHECKING:
    from ragkit.indexing import Index

TAG: Final = "imitation"
UNANSWERABLE: Final = "unanswerable"
_SAMPLED = 2
"""Questions that ``plan_imitation`` asks, to measure the time."""
_MARK = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True, slots=True)
class ImitationOptions:
    """Options of ``imitation_rows``."""

    answers: AnswerOptions = field(default_factory=AnswerOptions)
    """Retrieval, templates and lengths; those of the student's ``chat``."""
    min_support: float = 1.0
    """Share of the sentences, quotes aside, that the sources must support, 0 to 1."""
    val_fraction: float = 0.1
    """Fraction of the documents whose rows are in the split ``val``."""
    license: str = ""
    """License of the documents."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_support <= 1 or not 0 <= self.val_fraction < 1:
            raise DataError(
                f"min_support must be in [0, 1] and val_fraction in [0, 1), got {self.min_support} and "
                f"{self.val_fraction}.",
                "Use the defaults.",
            )


@dataclass(frozen=True, slots=True)
class ImitationPlan:
    """Plan of a run."""

    questions: int
    skipped: int
    """Repeated questions, and those that continue a conversation."""
    recorded: int
    """Questions whose reply is in the ledger, or that need no call because no passage is about them."""
    calls: int
    minutes: float
    """Estimated time of the remaining calls."""


def imitation_rows(
    index: Index,
    questions: Sequence[Pair],
    model: ChatModel,
    ledger: Ledger,
    options: ImitationOptions | None = None,
    *,
    progress: ProgressCallback | None = None,
) -> GenerationReport:
    """Return the teacher's answers as rows.

    A row is rejected by the first of: ``answered`` (the teacher abstained), ``quotes`` (no quote, or one that is in no
    passage), ``supported`` (a sentence without a source), ``right`` (the known answer of the question is not in the
    reply). For an unanswerable question only an abstention is kept.

    Args:
        index: index of the documents.
        questions: questions, with their answers if known. Those that continue a conversation are skipped.
        model: the teacher.
        ledger: finished calls; the same call continues an interrupted run.
        options: options of the rows.
        progress: called after each question, with the stage ``imitation``.

    Raises:
        DataError: if there are no questions, or the ledger can't be written.
        ModelError: if a call fails; finished work is kept.
    """
    options = options or ImitationOptions()
    started = time.monotonic()
    asked = standalone(questions)
    teacher, assistant = teacher_assistant(index, model, options.answers, ledger)
    generator = Generator(model.name, model_hash(model), TEMPLATE)
    reviews = current_reviews(ledger)
    kept: list[DataRow] = []
    rejected: list[DataRow] = []
    for number, pair in enumerate(asked, 1):
        row = reviewed(_row(assistant, pair, generator, options), reviews)
        (kept if row.kept else rejected).append(row)
        if progress is not None:
            progress(Progress("imitation", number, len(asked), pair.question))
    return GenerationReport(
        asked=len(asked),
        missing={},
        rows=tuple(kept),
        rejected=tuple(rejected),
        candidates=len(asked),
        tried=len(asked),
        calls=teacher.calls,
        seconds=time.monotonic() - started,
        generator=generator,
        calibration=None,
        documents={info.source: 0 for info in index.documents()},
    )


def plan_imitation(
    index: Index, questions: Sequence[Pair], model: ChatModel, ledger: Ledger, options: ImitationOptions | None = None
) -> ImitationPlan:
    """Return what ``imitation_rows`` would do. Asks the first questions, into the ledger, to measure the time."""
    options = options or ImitationOptions()
    asked = standalone(questions)
    teacher, assistant = teacher_assistant(index, model, options.answers, ledger)
    fresh = [pair for pair in asked if not _is_recorded(assistant, teacher, pair, options)]
    started = time.monotonic()
    for pair in fresh[:_SAMPLED]:
        assistant.ask(pair.question)
    each = (time.monotonic() - started) / max(1, len(fresh[:_SAMPLED]))
    left = len(fresh) - len(fresh[:_SAMPLED])
    skipped = len(questions) - len(asked)
    return ImitationPlan(len(asked), skipped, len(asked) - len(fresh), left, each * left / 60)


def standalone(questions: Sequence[Pair]) -> list[Pair]:
    """Return the questions that can be asked alone, each once.

    Raises:
        DataError: if there are none.
    """
    found: dict[str, Pair] = {}
    for pair in questions:
        turns = pair.data.get("messages")
        users = [turn for turn in turns if turn.get("role") == "user"] if isinstance(turns, list) else []
        if pair.question.strip() and len(users) < 2 and not pair.data.get("history"):
            found.setdefault(pair.question, pair)
    if not found:
        raise DataError(
            f"None of {len(questions)} questions can be asked alone.",
            "Use questions that do not continue a conversation, such as those of `ragkit data questions`.",
        )
    return list(found.values())


def teacher_assistant(
    index: Index, model: ChatModel, options: AnswerOptions | None = None, ledger: Ledger | None = None
) -> tuple[Teacher, Assistant]:
    """Return a model as a teacher, and the assistant that asks it for answers with quotes.

    Args:
        index: index of the documents.
        model: the teacher.
        options: options of the answers; the instructions are the teacher's.
        ledger: ledger of replies; None to record nothing.
    """
    answers = replace(options or AnswerOptions(), instructions=INSTRUCTIONS, rewrite=False, temperature=0.0)
    abstention = Templates.load(answers.templates).texts["abstention"]
    teacher = Teacher(model, abstention, ledger)
    return teacher, Assistant(index, teacher, mode="chat", options=answers)


def _is_recorded(assistant: Assistant, teacher: Teacher, pair: Pair, options: ImitationOptions) -> bool:
    steps = assistant.stream(pair.question)
    try:
        for event in steps:
            if isinstance(event, PromptBuilt):
                return teacher.is_recorded(event.prompt.messages, options.answers.prompt.answer_tokens)
    finally:
        steps.close()
    return True


def _row(assistant: Assistant, pair: Pair, generator: Generator, options: ImitationOptions) -> DataRow:
    trace = assistant.ask(pair.question).trace
    assert trace is not None
    sources = trace.prompt.sources if trace.prompt is not None else ()
    model = assistant.model
    assert model is not None
    # The student is asked as at inference, without the teacher's instructions.
    assembler = PromptAssembler(model, assistant.templates, options.answers.prompt)
    prompt = assembler.assemble(pair.question, sources).messages
    abstention = assistant.templates.texts["abstention"]
    reply = trace.reply.strip() or abstention
    quotes = quotes_in(reply)
    spans = [span for quote in quotes for span in [find_quote(quote, sources)] if span is not None]
    unanswerable = _is_unanswerable(pair)
    evidence = tuple(dict.fromkeys(spans)) or tuple(_span(one, one.start, one.end) for one in sources)
    row = DataRow(
        "rationale",
        prompt,
        reply,
        None,
        () if unanswerable else evidence,
        generator,
        (str(pair.data["id"]),) if pair.data.get("id") else (),
        license=options.license,
        split=split_of(evidence[0].document_id, options.val_fraction) if evidence else "train",
        tags=(TAG, UNANSWERABLE) if unanswerable else (TAG,),
    )
    silent = abstains(reply, abstention)
    if unanswerable:
        return row.decided(Decision("answered", silent, reason="" if silent else "The question has no answer."))
    if silent:
        return row.decided(Decision("answered", False, reason="The teacher found no answer."))
    decisions = [_quotes_decision(quotes, len(spans))]
    if decisions[-1].kept:
        decisions.append(_support_decision(assistant, reply, sources, options.min_support))
    if decisions[-1].kept:
        decisions.append(_answer_decision(reply, accepted_answers(pair)))
    return row.decided(*decisions)


def quotes_in(reply: str) -> list[str]:
    """Return the quotes of a reply that have at least two words."""
    found = [match.group(1).strip() for match in QUOTE.finditer(reply)]
    return [quote for quote in found if len(squad_words(quote)) >= SHORTEST_QUOTE]


def find_quote(quote: str, sources: Sequence[Source]) -> TextSpan | None:
    """Return where a quote is in the sources, or None. White space, case and the last punctuation may differ."""
    parts = quote.strip(" .,;:").split()
    if not parts:
        return None
    words = r"\s+".join(map(re.escape, parts))
    pattern = re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)
    for source in sources:
        match = pattern.search(source.text)
        if match:
            return _span(source, source.start + match.start(), source.start + match.end())
    return None


def accepted_answers(pair: Pair) -> list[str]:
    """Return the accepted wordings of a question's answer; empty if none is known or it has several items."""
    given: Any = pair.data.get("answers")
    if isinstance(given, list) and given:
        return [one for one in given if isinstance(one, str)] if all(isinstance(one, str) for one in given) else []
    return [pair.answer] if pair.answer.strip() else []


def _quotes_decision(quotes: Sequence[str], verified: int) -> Decision:
    share = verified / len(quotes) if quotes else 0.0
    reason = "" if share == 1 else "The reply quotes nothing."
    if quotes and share < 1:
        reason = f"{len(quotes) - verified} of {len(quotes)} quotes are in none of the passages."
    return Decision("quotes", share == 1, share, 1.0, reason)


def _support_decision(assistant: Assistant, reply: str, sources: Sequence[Source], least: float) -> Decision:
    # The quotes are in the sources already; what remains are the teacher's own claims.
    claims = QUOTE.sub(" ", _MARK.sub("", reply)).strip()
    share = check_reply(claims, sources, assistant.index.embedder).supported_share if squad_words(claims) else 1.0
    kept = share >= least
    return Decision("supported", kept, share, least, "" if kept else f"The sources support {share:.0%} of the reply.")


def _answer_decision(reply: str, answers: Sequence[str]) -> Decision:
    if not answers:
        return Decision("right", True, reason="The answer is not known.")
    said = f" {' '.join(squad_words(reply))} "
    kept = any(f" {' '.join(squad_words(answer))} " in said for answer in answers)
    return Decision("right", kept, float(kept), 1.0, "" if kept else f"The reply does not contain {answers[0]!r}.")


def _is_unanswerable(pair: Pair) -> bool:
    tags = pair.data.get("tags")
    marked = str(pair.data.get("unanswerable", "")).casefold() in ("true", "1", "yes")
    return marked or (isinstance(tags, list) and UNANSWERABLE in tags)


def _span(source: Source, start: int, end: int) -> TextSpan:
    info = source.document
    text = source.text[start - source.start : end - source.start]
    return TextSpan(info.id, info.source, info.sha256, start, end, text)
