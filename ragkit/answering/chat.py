"""The way ``chat``: free text whose every sentence is checked against the sources."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.answering.sentences import Sentence, cite, introduces, sentences_of
from ragkit.answering.support import ComposedVerifier, SupportVerifier
from ragkit.chunking import sentence_spans
from ragkit.models.base import Completion
from ragkit.prompting import Source
from ragkit.records import Citation
from ragkit.retrieval.terms import content_terms

if TYPE_CHECKING:
    from ragkit.embedding import Embedder

_MARK = re.compile(r"\s*\[(\d+(?:\s*,\s*\d+)*)\]")
CANDIDATES = 4
"""Sentences of the sources, those with the most words in common, that a sentence of the reply is checked against."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A reply after checking."""

    text: str
    """With the numbers of its citations, renumbered in the order of appearance."""
    citations: tuple[Citation, ...]
    unsupported: tuple[tuple[int, int], ...]
    """Spans of ``text`` that no source supports."""
    supported_share: float
    """Share of the sentences that a source supports."""
    contradicted: tuple[tuple[int, int], ...] = ()
    """Those of ``unsupported`` that a source contradicts."""


def check_reply(
    reply: str, sources: Sequence[Source], embedder: Embedder, verifier: SupportVerifier | None = None
) -> Checked:
    """Cite for each sentence of a reply the sentence of a source that supports it.

    The sources that the model named are tried first, then the others. A source's sentence is judged alone, and where
    that does not do, with its heading and with the sentence before it. Headings and questions support nothing. Numbers
    of sources that were not shown are dropped.

    Args:
        reply: of the model.
        sources: that it was shown.
        embedder: of the index.
        verifier: decides what is supported; ``ComposedVerifier(embedder)`` if None.
    """
    verifier = ComposedVerifier(embedder) if verifier is None else verifier
    by_number = {source.number: source for source in sources}
    candidates = [sentence for source in sources for sentence in sentences_of(source) if not introduces(sentence)]
    said = _marks_inside(reply)
    text = ""
    citations: list[Citation] = []
    unsupported: list[tuple[int, int]] = []
    contradicted: list[tuple[int, int]] = []
    supported = total = stop = 0
    for start, end in sentence_spans(said):
        raw = said[start:end]
        between = said[stop : start + len(raw) - len(raw.lstrip())]
        stop = start + len(raw.rstrip())
        named = [int(n) for group in _MARK.findall(raw) for n in re.findall(r"\d+", group)]
        plain = _MARK.sub("", raw).strip()
        total += 1
        evidence, is_contradicted = _evidence(
            plain, [by_number[n] for n in named if n in by_number], candidates, verifier
        )
        if text:
            # Paragraphs and the items of lists stay apart.
            text += between if "\n" in between and between.isspace() else " "
        if evidence is None:
            unsupported.append((len(text), len(text) + len(plain)))
            if is_contradicted:
                contradicted.append(unsupported[-1])
            text += plain
        else:
            supported += 1
            known = next((c for c in citations if (c.document_id, c.start) == _place(evidence)), None)
            if known is None:
                known = cite(len(citations) + 1, evidence.source, evidence.start, evidence.end)
                citations.append(known)
            text += f"{plain} [{known.number}]"
    share = supported / total if total else 0.0
    return Checked(text, tuple(citations), tuple(unsupported), share, tuple(contradicted))


def unsupported_doubt(
    least: float,
    sources: Sequence[Source],
    embedder: Embedder,
    abstention: str,
    verifier: SupportVerifier | None = None,
) -> Callable[[Completion], str | None]:
    """Return a check of replies: it gives the reason to call the next model if too few sentences are supported.

    Args:
        least: share of the sentences, 0 to 1, that must be.
        sources: that the model was shown.
        embedder: of the index.
        abstention: what a model says that finds no answer, which is taken at its word.
        verifier: decides what is supported; ``ComposedVerifier(embedder)`` if None.
    """

    def doubt(reply: Completion) -> str | None:
        if abstains(reply.text, abstention):
            return None
        share = check_reply(reply.text, sources, embedder, verifier).supported_share
        return (
            None if share >= least else f"the sources support {share:.0%} of its sentences; the minimum is {least:.0%}"
        )

    return doubt


def abstains(reply: str, abstention: str) -> bool:
    """Tell whether a reply says nothing, or that there is no answer."""
    said = reply.strip().casefold()
    return not said or said.startswith(abstention.casefold().rstrip("."))


def _marks_inside(reply: str) -> str:
    """Return the reply with each ``[n]`` that follows a full stop moved before it, into the sentence it belongs to."""
    return re.sub(r"([.!?。！？])((?:\s*\[\d+(?:\s*,\s*\d+)*\])+)", r"\2\1", reply.strip())


def _place(sentence: Sentence) -> tuple[str, int]:
    return sentence.source.document.id, sentence.start


def _evidence(
    plain: str, named: Sequence[Source], candidates: Sequence[Sentence], verifier: SupportVerifier
) -> tuple[Sentence | None, bool]:
    """Return the sentence that supports ``plain``, or None, and then whether one contradicts it."""
    wanted = set(content_terms(plain))
    if not wanted:
        return None, False
    ranked = []
    for at, sentence in enumerate(candidates):
        share = len(wanted & set(content_terms(sentence.text))) / len(wanted)
        if share > 0:
            ranked.append((-share - 0.1 * (sentence.source in named), sentence.source.number, sentence.start, at))
    nearest = [at for _, _, _, at in sorted(ranked)[:CANDIDATES]]
    contradicted = False
    for texts in (_alone, _in_context):
        pairs = [(plain, text, at) for at in nearest for text in texts(candidates, at)]
        verdicts = verifier.verify([(claim, text) for claim, text, _ in pairs])
        best = max(range(len(pairs)), key=lambda number: verdicts[number].entailed, default=None)
        if best is not None and verdicts[best].supported:
            return candidates[pairs[best][2]], False
        if texts is _alone:
            # Only the nearest sentence is surely about the same thing.
            contradicted = any(verdict.is_contradicted for verdict in verdicts[:1])
    return None, contradicted


def _alone(candidates: Sequence[Sentence], at: int) -> list[str]:
    return [candidates[at].text]


def _in_context(candidates: Sequence[Sentence], at: int) -> list[str]:
    """Return a sentence after its headings and title, and after the sentence before it."""
    sentence = candidates[at]
    chunk = sentence.source.hit.chunk
    about = [title for title in (sentence.source.document.title, *chunk.heading_path[-1:]) if title]
    texts = [". ".join([*dict.fromkeys(about), sentence.text])] if about else []
    if at and candidates[at - 1].source is sentence.source:
        texts.append(f"{candidates[at - 1].text} {sentence.text}")
    return texts
