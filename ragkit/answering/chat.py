"""The mode ``chat``: free text in which each sentence is checked against the sources."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.answering.sentences import Sentence, cite, introduces, sentences_of
from ragkit.answering.streaming import ReplyPiece, ReplySentences
from ragkit.answering.support import ComposedVerifier, SupportVerifier
from ragkit.models.base import Completion
from ragkit.prompting import Source
from ragkit.records import Citation
from ragkit.retrieval.terms import content_terms

if TYPE_CHECKING:
    from ragkit.embedding import Embedder

_MARK = re.compile(r"\s*\[(\d+(?:\s*,\s*\d+)*)\]")
CANDIDATES = 4
"""Number of source sentences, by words in common, against which a sentence of the reply is checked."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A reply after checking."""

    text: str
    """Text of the answer, with citation numbers in the order of appearance."""
    citations: tuple[Citation, ...]
    unsupported: tuple[tuple[int, int], ...]
    """Spans of ``text`` that no source supports."""
    supported_share: float
    """Share of the sentences that a source supports."""
    contradicted: tuple[tuple[int, int], ...] = ()
    """The spans of ``unsupported`` that a source contradicts."""


@dataclass(frozen=True, slots=True)
class CheckedSentence:
    """A sentence of a reply after checking."""

    text: str
    """Sentence with its leading white space and citation number; joined, the sentences are ``Checked.text``."""
    citation: Citation | None
    """Citation of the source that supports it."""
    contradicted: bool = False
    """Whether a source contradicts it."""


class ReplyChecker:
    """Checks a reply sentence by sentence, and numbers its citations in the order of appearance.

    The sources that the model named are tried first, then the others. A source's sentence is judged alone and, if it
    does not support the claim, with its heading and with the previous sentence. Headings and questions never support a
    claim. Numbers of sources that were not shown are dropped.

    Args:
        sources: sources that the model was shown.
        embedder: embedder of the index.
        verifier: decides what is supported; ``ComposedVerifier(embedder)`` if None.
    """

    def __init__(self, sources: Sequence[Source], embedder: Embedder, verifier: SupportVerifier | None = None) -> None:
        self._verifier = ComposedVerifier(embedder) if verifier is None else verifier
        self._by_number = {source.number: source for source in sources}
        self._candidates = [one for source in sources for one in sentences_of(source) if not introduces(one)]
        self._text = ""
        self._citations: list[Citation] = []
        self._unsupported: list[tuple[int, int]] = []
        self._contradicted: list[tuple[int, int]] = []
        self._supported = self._total = 0

    def add(self, piece: ReplyPiece) -> CheckedSentence:
        """Check the next sentence of the reply."""
        named = [int(n) for group in _MARK.findall(piece.text) for n in re.findall(r"\d+", group)]
        plain = _MARK.sub("", piece.text).strip()
        self._total += 1
        evidence, is_contradicted = _evidence(
            plain, [self._by_number[n] for n in named if n in self._by_number], self._candidates, self._verifier
        )
        before = ""
        if self._text:
            # Paragraphs and the items of lists stay apart.
            before = piece.before if "\n" in piece.before and piece.before.isspace() else " "
        start = len(self._text) + len(before)
        citation = None
        if evidence is None:
            self._unsupported.append((start, start + len(plain)))
            if is_contradicted:
                self._contradicted.append(self._unsupported[-1])
            said = before + plain
        else:
            self._supported += 1
            citation = self._cited(evidence)
            said = f"{before}{plain} [{citation.number}]"
        self._text += said
        return CheckedSentence(said, citation, is_contradicted)

    def begin(self, text: str) -> None:
        """Start with a complete text, whose values ``add_value`` checks."""
        self._text = text

    def add_value(self, value: str, start: int, end: int) -> None:
        """Check a value at a span of the text; the text is not changed."""
        self._total += 1
        written = re.compile(rf"(?<!\w){re.escape(' '.join(value.split()))}(?!\w)", re.IGNORECASE)
        holding = (one for one in self._candidates if written.search(" ".join(one.text.split())))
        evidence, is_contradicted = next(holding, None), False
        if evidence is None:
            evidence, is_contradicted = _evidence(value, (), self._candidates, self._verifier)
        if evidence is not None:
            self._supported += 1
            self._cited(evidence)
            return
        self._unsupported.append((start, end))
        if is_contradicted:
            self._contradicted.append((start, end))

    def checked(self) -> Checked:
        """Return the reply so far."""
        share = self._supported / self._total if self._total else 0.0
        return Checked(self._text, tuple(self._citations), tuple(self._unsupported), share, tuple(self._contradicted))

    def _cited(self, evidence: Sentence) -> Citation:
        known = next((c for c in self._citations if (c.document_id, c.start) == _place(evidence)), None)
        if known is None:
            known = cite(len(self._citations) + 1, evidence.source, evidence.start, evidence.end)
            self._citations.append(known)
        return known


def check_reply(
    reply: str, sources: Sequence[Source], embedder: Embedder, verifier: SupportVerifier | None = None
) -> Checked:
    """Cite for each sentence of a complete reply the sentence of a source that supports it; see ``ReplyChecker``."""
    checker = ReplyChecker(sources, embedder, verifier)
    for piece in ReplySentences().end(reply):
        checker.add(piece)
    return checker.checked()


def unsupported_doubt(
    least: float,
    sources: Sequence[Source],
    embedder: Embedder,
    abstention: str,
    verifier: SupportVerifier | None = None,
) -> Callable[[Completion], str | None]:
    """Return a check of replies, which returns the reason to call the next model if too few sentences are supported.

    Args:
        least: minimum share of supported sentences, 0 to 1.
        sources: sources that the model was shown.
        embedder: embedder of the index.
        abstention: reply of a model that finds no answer; it is accepted without a check.
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
    """Return whether a reply says nothing, or that there is no answer."""
    said = reply.strip().casefold()
    return not said or said.startswith(abstention.casefold().rstrip("."))


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
