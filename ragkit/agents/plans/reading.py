"""Actions that read passages: extract a value, list items, summarise, and answer from results."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from ragkit.agents.plans.values import Item, Value, lowest, unique
from ragkit.agents.plans.workbench import WRITTEN_TOKENS, Workbench, text_of
from ragkit.answering.chat import check_reply
from ragkit.answering.evidence import HOPELESS_BELOW
from ragkit.answering.extract import extract, span_sentences
from ragkit.answering.kinds import Kind as QuestionKind
from ragkit.answering.readers import Evidence, Span, SummaryReader
from ragkit.answering.readers.quotes import best_of
from ragkit.answering.units import Unit
from ragkit.errors import PlanError
from ragkit.models import ScoringModel
from ragkit.prompting import Source
from ragkit.retrieval.terms import content_terms

_SUMMARY = 5
"""Maximum sentences of a summary that is not of a complete document."""
_NEAR = 0.3
"""Maximum difference in score between the best sentence of a summary and another one."""
_ASKS_STEPS = re.compile(r"\b(?:steps?|instructions|procedure|how to)\b", re.IGNORECASE)


def extract_value(bench: Workbench, question: str, source: Value) -> Value:
    """Return the short answer to a question: a cell of a table, or a span of the passages.

    A local model can only reply with a span. Without a model, the answer is the best sentence.
    """
    evidence = bench.evidence(question, source)
    for reader in bench.options.readers.get(evidence.question.kind, ()):
        reply = reader.read(evidence)
        if reply is not None and reply.exact:
            return bench.replied(reply, evidence, "value")
    if bench.model is None:
        return bench.read(evidence, "value")
    shown = bench.shown(evidence)
    if isinstance(bench.model, ScoringModel):
        # It is shown one passage, and all others compete as well; a part of a source needs a number of its own.
        part = replace(shown[0], number=len(evidence.sources) + 1)
        sources, competing = (part, *evidence.sources), list(evidence.ranked)
    else:
        by_number = {source.number: source for source in shown}
        sources, competing = shown, [one for one in evidence.ranked if _within(one.unit, by_number)]
    ranked = span_sentences(evidence.question.query, competing, bench.index.embedder)
    found = extract(question, ranked, sources, bench.model, bench.templates, bench.options.extract)
    if found.span is None:
        raise PlanError(f"The passages have no answer to {question!r}.", "Ask in other words.")
    span = Span(*found.span)
    item = Item(" ".join(span.text.split()), bench.cited(span))
    return Value("value", (item,), confidence=min(source.confidence, bench.confidence(evidence)))


def _within(unit: Unit, sources: Mapping[int, Source]) -> bool:
    source = sources[unit.source.number]
    return source.start <= unit.start and unit.end <= source.end


def list_items(bench: Workbench, topic: str, source: Value) -> Value:
    """Return the items of a list, the steps of a procedure, or the rows of a table, in their order."""
    kind: QuestionKind = "procedure" if _ASKS_STEPS.search(topic) else "list"
    evidence = bench.evidence(topic, source, kind=kind, threshold=HOPELESS_BELOW)
    return bench.read(evidence)


def summarise(bench: Workbench, topic: str, source: Value) -> Value:
    """Return what the passages say about a topic; of a complete document or section, sentences of all its parts."""
    evidence = bench.evidence(topic, source, kind="summary", threshold=0.0)
    written = _checked(bench, evidence, f"Summarise in at most five short sentences: {topic}")
    if written is not None:
        return Value("items", (written,), confidence=1.0)
    if len(evidence.sources) == 1:
        reply = SummaryReader().read(evidence)
        if reply is not None and evidence.sources[0].start == 0:
            return bench.replied(reply, evidence)
    best = best_of(evidence.ranked, _SUMMARY, _NEAR)
    ordered = sorted((one.unit for one in best), key=lambda unit: (unit.source.number, unit.start))
    items = tuple(Item(unit.named, bench.cited(Span.of(unit))) for unit in ordered)
    return Value("items", items, confidence=bench.confidence(evidence))


def write_cited(bench: Workbench, question: str, source: Value) -> Value | None:
    """Return what a model that can write answers, with citations; None without one, or if a sentence has no support."""
    evidence = bench.evidence(question, source)
    written = _checked(bench, evidence, f"Answer in at most three short sentences: {question}")
    confidence = min(source.confidence, bench.confidence(evidence))
    return None if written is None else Value("value", (written,), confidence=confidence)


def _checked(bench: Workbench, evidence: Evidence, task: str) -> Item | None:
    """Return what the model writes for a task on the evidence, if it can write and all its sentences are supported."""
    if bench.able != "judges" or bench.model is None:
        return None
    sources = bench.shown(evidence)
    checked = check_reply(bench.write(text_of(sources), task), sources, bench.index.embedder)
    return Item(_without_marks(checked.text), checked.citations) if checked.supported_share == 1.0 else None


def answer(bench: Workbench, *results: Value) -> Value:
    """Return the answer to the question of the plan from results.

    A model that can write is asked first; its answer counts if each sentence is supported by a cited span, or has only
    words that a result represents. Else the answer lists the results.
    """
    if bench.able == "judges" and bench.model is not None:
        written = _written(bench, results)
        if written is not None:
            return written
    items: list[Item] = []
    confidence = 1.0
    for value in results:
        if value.kind == "passages":
            read = bench.read(bench.evidence(bench.question, value))
            items += read.items
            confidence = min(confidence, read.confidence)
        else:
            label = f"{value.label.rstrip(':')}: " if value.label and len(results) > 1 == len(value.items) else ""
            items += [Item(f"{label}{item.text}", item.citations) for item in value.items]
            confidence = min(confidence, value.confidence)
    return Value("items" if len(items) > 1 else "value", tuple(items), confidence=confidence)


def _written(bench: Workbench, results: tuple[Value, ...]) -> Value | None:
    """Return what the model writes, or None if a sentence of it is not supported."""
    sources = bench.sources(results)
    shown = [f"{value.label or 'result'}: {value.text}" for value in results if value.kind != "passages"]
    text = "\n\n".join(part for part in (text_of(sources), "\n".join(shown)) if part)
    task = f"Answer the question in one or two short sentences: {bench.question}"
    checked = check_reply(bench.write(text, task, max_tokens=WRITTEN_TOKENS), sources, bench.index.embedder)
    plain = _without_marks(checked.text)
    known = set(content_terms(" ".join([*shown, bench.question])))
    citations = list(checked.citations)
    for start, end in checked.unsupported:
        said = set(content_terms(checked.text[start:end]))
        if (start, end) in checked.contradicted or not said or not said <= known:
            return None
        citations += [citation for value in results for citation in value.citations()]
    if not plain or not citations:
        return None
    return Value("value", (Item(plain, tuple(unique(iter(citations)))),), confidence=lowest(*results))


def _without_marks(text: str) -> str:
    """Return a text without the numbers of citations."""
    return re.sub(r"\s*\[\d+(?:\s*,\s*\d+)*\]", "", text).strip()
