"""The way ``chat``: free text whose every sentence is checked against the sources."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.answering.sentences import Sentence, cite, introduces, sentences_of
from ragkit.chunking import sentence_spans
from ragkit.models.base import Completion
from ragkit.prompting import Source
from ragkit.records import Citation
from ragkit.retrieval.terms import content_terms, numbers

if TYPE_CHECKING:
    from ragkit.embedding import Embedder

_MARK = re.compile(r"\s*\[(\d+(?:\s*,\s*\d+)*)\]")
SUPPORT_OVERLAP = 0.6
"""A sentence is supported where a source's sentence holds this share of its terms and all of its numbers…"""
SUPPORT_COSINE = 0.75
"""…or is this near in meaning and holds all of its numbers and half of its terms."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A reply after checking."""

    text: str
    """With the numbers of its citations, renumbered in the order of appearance."""
    citations: tuple[Citation, ...]
    unsupported: tuple[tuple[int, int], ...]
    """Spans of ``text`` that no source bears out."""
    supported_share: float
    """Of the sentences."""


def check_reply(reply: str, sources: Sequence[Source], embedder: Embedder) -> Checked:
    """Align each sentence of a reply with the sentence of a source that bears it out.

    A number that the model put down is looked at first; where that source does not bear the sentence out, the others
    are. Headings and questions bear nothing out. Numbers of sources that are not there are dropped.

    Args:
        reply: the model's.
        sources: that it was shown.
        embedder: of the index.
    """
    by_number = {source.number: source for source in sources}
    candidates = [sentence for source in sources for sentence in sentences_of(source) if not introduces(sentence)]
    said = _marks_inside(reply)
    text = ""
    citations: list[Citation] = []
    unsupported: list[tuple[int, int]] = []
    supported = total = stop = 0
    for start, end in sentence_spans(said):
        raw = said[start:end]
        between = said[stop : start + len(raw) - len(raw.lstrip())]
        stop = start + len(raw.rstrip())
        named = [int(n) for group in _MARK.findall(raw) for n in re.findall(r"\d+", group)]
        plain = _MARK.sub("", raw).strip()
        total += 1
        evidence = _evidence(plain, [by_number[n] for n in named if n in by_number], candidates, embedder)
        if text:
            # Paragraphs and the items of lists stay apart.
            text += between if "\n" in between and between.isspace() else " "
        if evidence is None:
            unsupported.append((len(text), len(text) + len(plain)))
            text += plain
        else:
            supported += 1
            known = next((c for c in citations if (c.document_id, c.start) == _place(evidence)), None)
            if known is None:
                known = cite(len(citations) + 1, evidence.source, evidence.start, evidence.end)
                citations.append(known)
            text += f"{plain} [{known.number}]"
    return Checked(text, tuple(citations), tuple(unsupported), supported / total if total else 0.0)


def unsupported_doubt(
    least: float, sources: Sequence[Source], embedder: Embedder, abstention: str
) -> Callable[[Completion], str | None]:
    """Return what tells of a reply why another model should be asked: too few of its sentences are borne out.

    Args:
        least: share of the sentences, 0 to 1, that must be.
        sources: that the model was shown.
        embedder: of the index.
        abstention: what a model says that finds no answer, which is taken at its word.
    """

    def doubt(reply: Completion) -> str | None:
        if abstains(reply.text, abstention):
            return None
        share = check_reply(reply.text, sources, embedder).supported_share
        return (
            None if share >= least else f"the sources bear out {share:.0%} of its sentences, and {least:.0%} is asked"
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
    plain: str, named: Sequence[Source], candidates: Sequence[Sentence], embedder: Embedder
) -> Sentence | None:
    """Return the sentence that bears ``plain`` out, of a named source if one does, or None."""
    wanted, figures = set(content_terms(plain)), numbers(plain)
    if not wanted:
        return None
    overlaps = []
    for sentence in candidates:
        if not figures <= numbers(sentence.text):
            continue
        share = len(wanted & set(content_terms(sentence.text))) / len(wanted)
        overlaps.append((share, sentence.source in named, sentence))
    overlaps.sort(key=lambda item: (-item[0] - 0.1 * item[1], item[2].source.number, item[2].start))
    if not overlaps:
        return None
    if overlaps[0][0] >= SUPPORT_OVERLAP:
        return overlaps[0][2]
    near = [sentence for share, _, sentence in overlaps[:8] if share >= 0.5]
    if near:
        try_these = [plain, *(sentence.text for sentence in near)]
        vectors = embedder.embed(try_these, "query")
        cosines = vectors[1:] @ vectors[0]
        if float(cosines.max()) >= SUPPORT_COSINE:
            return near[int(cosines.argmax())]
    return None
