"""Records as clients see them: plain values, documents by name, and never a path of the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ragkit.answering import Generating, PromptBuilt, Retrieved, TextDelta
from ragkit.indexing import Index
from ragkit.prompting import Prompt
from ragkit.records import Answer, Citation, Hit
from ragkit.serving.asks import GenerationResult
from ragkit.serving.confirming import CallAsked, CallDecided
from ragkit.serving.conversations import StoredMessage, new_message
from ragkit.serving.generation import Queued
from ragkit.serving.names import document_name
from ragkit.serving.rendering import to_html
from ragkit.serving.step_runs import StepEnded
from ragkit.serving.step_views import asked_view, step_view

_REDRAWN = 0.02
"""Share of a text that must be new before a stream shows it as HTML again."""
_LONGEST_DRAWN = 50_000
"""Characters up to which a stream shows a text as HTML; a longer one is rendered when it is complete."""


def hit_view(hit: Hit) -> dict[str, Any]:
    """Return a passage that was found."""
    chunk = hit.chunk
    return {
        "score": hit.score,
        "scores": dict(hit.scores),
        "text": chunk.text,
        "document_id": chunk.document_id,
        "title": hit.document.title,
        "name": document_name(hit.document),
        "page": chunk.page,
        "label": chunk.label,
        "start": chunk.start,
        "end": chunk.end,
        "heading_path": list(chunk.heading_path),
    }


class StepViews:
    """The steps of one answer as clients see them."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._text = ""
        self._drawn = 0
        self._citations: dict[int, Citation] = {}

    def event(
        self,
        event: Queued | Retrieved | PromptBuilt | Generating | TextDelta | StepEnded | CallAsked | CallDecided,
    ) -> tuple[str, dict[str, Any]]:
        """Return a step as the name and the data of an event."""
        if isinstance(event, StepEnded):
            return "step", step_view(event.event)
        if isinstance(event, CallAsked):
            return "confirm", asked_view(event)
        if isinstance(event, CallDecided):
            return "decided", asdict(event)
        if isinstance(event, Queued):
            return "queued", {"before": event.before}
        if isinstance(event, Retrieved):
            self._names = {hit.document.id: document_name(hit.document) for hit in event.hits}
            return "retrieved", {"hits": [hit_view(hit) for hit in event.hits]}
        if isinstance(event, PromptBuilt):
            return "prompt", {"tokens": event.prompt.receipt.tokens}
        if isinstance(event, Generating):
            return "generating", {"pieces": event.pieces}
        return "delta", {"text": event.text, **self.support(event), "html": self._html(event)}

    def _html(self, event: TextDelta) -> str | None:
        """Return the text so far as HTML; not for each sentence of a long text, so that the cost stays linear."""
        self._text += event.text
        if event.citation is not None:
            self._citations[event.citation.number] = event.citation
        length = len(self._text)
        if length - self._drawn < length * _REDRAWN or length > _LONGEST_DRAWN:
            return None
        self._drawn = length
        return to_html(self._text, tuple(self._citations.values()))

    def support(self, event: TextDelta) -> dict[str, Any]:
        """Return what was found in the check of a sentence."""
        citation = event.citation
        return {
            "supported": citation is not None,
            "contradicted": event.contradicted,
            "citation": None if citation is None else citation_view(citation, self._names[citation.document_id]),
        }


def outcome_message(conversation: str, outcome: GenerationResult, index: Index) -> StoredMessage:
    """Return the result of a question as a message of a conversation, not yet stored."""
    answer = outcome.answer or outcome.partial
    return new_message(
        conversation,
        "assistant",
        outcome.text,
        stopped=outcome.answer is None,
        question=outcome.ask.question,
        config=outcome.ask.config.to_dict(),
        answer=None if answer is None else answer_view(answer, index),
        error=outcome.error,
    )


def answer_view(answer: Answer, index: Index) -> dict[str, Any]:
    """Return an answer as messages contain it."""
    names = {c.document_id: document_name(index.document(c.document_id)) for c in answer.citations}
    return {
        "mode": answer.mode,
        "abstained": answer.abstained,
        "confidence": answer.confidence,
        "citations": [citation_view(citation, names[citation.document_id]) for citation in answer.citations],
        "unsupported": [list(span) for span in answer.unsupported],
        "contradicted": [list(span) for span in answer.contradicted],
        "unsure": answer.unsure,
        "missing": answer.missing,
        "kind": answer.kind,
        "model": answer.trace.model,
    }


def citation_view(citation: Citation, name: str) -> dict[str, Any]:
    """Return a citation of a document with this name."""
    return {
        "number": citation.number,
        "document_id": citation.document_id,
        "title": citation.title,
        "name": name,
        "page": citation.page,
        "label": citation.label,
        "start": citation.start,
        "end": citation.end,
        "quote": citation.quote,
        "before": citation.before,
        "after": citation.after,
        "heading_path": list(citation.heading_path),
    }


def message_view(message: StoredMessage) -> dict[str, Any]:
    """Return a message as clients see it."""
    citations = _citations(message.answer["citations"]) if message.answer else ()
    rated = message.thumb is not None or message.correction is not None
    return {
        "id": message.id,
        "conversation": message.conversation,
        "role": message.role,
        "text": message.text,
        "html": to_html(message.text, citations) if message.role == "assistant" else "",
        "created": message.created,
        "stopped": message.stopped,
        "error": message.error,
        "question": message.question,
        "config": message.config,
        "answer": message.answer,
        "rating": {"thumb": message.thumb, "correction": message.correction} if rated else None,
    }


def why_view(outcome: GenerationResult) -> dict[str, Any]:
    """Return the trace of an answer, partial if it was stopped."""
    trace = None if outcome.answer is None else outcome.answer.trace
    prompt = outcome.prompt if trace is None else trace.prompt
    known: dict[str, Any] = {
        "query": outcome.ask.question,
        "mode": outcome.ask.config.mode,
        "why_mode": outcome.ask.why_mode,
        "hits": [hit_view(hit) for hit in outcome.hits],
        "shots": [],
        "prompt": [] if prompt is None else [{"role": m.role, "content": m.content} for m in prompt.messages],
        "receipt": _receipt(prompt, outcome.hits),
        "model": None,
        "why_model": "",
        "attempts": [],
        "notes": [],
        "reply": outcome.text,
        "signals": {},
        "threshold": 0.0,
        "seconds": {},
        "usage": None,
        "steps": [] if outcome.steps is None else [step_view(event) for event in outcome.steps.events],
    }
    if trace is not None:
        default = "the one that was chosen"
        known |= {
            "query": trace.query,
            "why_query": trace.why_query,
            "kind": trace.kind,
            "why_kind": trace.why_kind,
            "reader": trace.reader,
            "relevance": trace.relevance,
            "shots": [{"input": shot.input, "output": shot.output} for shot in trace.shots],
            "model": trace.model,
            "why_model": (trace.why_model if trace.attempts else default) if trace.model else "no model was asked",
            "attempts": [
                {"model": a.model, "outcome": a.outcome, "reason": a.reason, "seconds": a.seconds}
                for a in trace.attempts
            ],
            "notes": list(trace.notes),
            "reply": trace.reply,
            "signals": dict(trace.signals),
            "threshold": trace.threshold,
            "seconds": dict(trace.seconds),
            "usage": {
                "prompt_tokens": trace.usage.prompt_tokens,
                "completion_tokens": trace.usage.completion_tokens,
                "cached_tokens": trace.usage.cached_tokens,
                "cost": trace.usage.cost,
            },
        }
    return known


def _receipt(prompt: Prompt | None, hits: Sequence[Hit]) -> dict[str, Any] | None:
    if prompt is None:
        return None
    receipt = prompt.receipt
    names = {hit.document.source: document_name(hit.document) for hit in hits}

    def place(source: str) -> str:
        for known, name in names.items():
            if source.startswith(known):
                return name + source[len(known) :]
        return source

    return {
        "sections": [
            {"name": s.name, "source": place(s.source), "tokens": s.tokens, "state": s.state, "why": s.why}
            for s in receipt.sections
        ],
        "tokens": receipt.tokens,
        "window": receipt.window,
        "answer_tokens": receipt.answer_tokens,
    }


def _citations(views: Sequence[dict[str, Any]]) -> tuple[Citation, ...]:
    """Return citations as ``to_html`` reads them; their sources stay with the server."""
    return tuple(
        Citation(
            view["number"],
            view["document_id"],
            "",
            view["title"],
            view["quote"],
            view["start"],
            view["end"],
            view["page"],
            label=view.get("label", ""),
        )
        for view in views
    )
