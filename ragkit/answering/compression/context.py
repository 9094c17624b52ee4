"""Compresses a context to entity records, to sentences if the records may lack the answer, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any, Literal

from ragkit.answering.compression.choosing import Key, Part, chosen, parts_of, unit_probabilities
from ragkit.answering.kinds import Kind
from ragkit.answering.readers import Evidence
from ragkit.answering.sentences import Sentence
from ragkit.errors import SettingsError
from ragkit.prompting import Prompt, ReceiptSection, Source

Level = Literal["records", "sentences", "full"]
MIN_CONFIDENCE = 0.9
"""Probability that the answer is still in a compressed context, below which the next level is tried."""
_SENTENCES_SHARE = 0.5
"""Share of the tokens that the sentences may take, as many as are needed."""
_WHOLE_KINDS: frozenset[Kind] = frozenset({"list", "comparison", "procedure", "summary", "about"})
"""Kinds of questions whose answer is in many places, so that no probability says whether it is still there."""
_GAP = " … "


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a source: ``document.text[start:end]``."""

    source: int
    """Number of the source."""
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Compression:
    """A record of how a context was compressed, for the trace."""

    level: Level
    why: str
    """Reason for the level."""
    ratio: float
    """Requested share of the tokens."""
    tokens: int
    """Tokens of the context, by the tokenizer of the index's embedding model."""
    full_tokens: int
    """Tokens of the context before compression."""
    confidence: float
    """Probability, 0 to 1, that the answer is still there if it was there before."""
    tried: Mapping[str, float]
    """Confidence of each level that was tried."""
    left_out: tuple[Stretch, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Compressed:
    """The sources of a compressed context."""

    sources: tuple[Source, ...]
    """Sources of which at least a part is shown; ``Source.prompt_text`` is that part."""
    report: Compression
    kept: tuple[Stretch, ...]
    """Stretches that are shown, in the order of the sources; adjacent clauses are joined."""
    omitted: tuple[ReceiptSection, ...] = ()
    """Omitted text by source, as sections of a receipt."""

    @property
    def text(self) -> str:
        """The context as one text, with one paragraph per source."""
        return "\n\n".join(source.prompt_text for source in self.sources)

    def only_shown(self, sentences: Sequence[Sentence]) -> list[Sentence]:
        """Return sentences cut to what is shown of them, in their order; those that are not shown are left out."""
        found = []
        for sentence in sentences:
            for one in self.kept:
                start, end = max(one.start, sentence.start), min(one.end, sentence.end)
                if one.source == sentence.source.number and start < end:
                    text = sentence.text[start - sentence.start : end - sentence.start]
                    found.append(replace(sentence, text=text, start=start, end=end))
        return found

    def noted(self, prompt: Prompt) -> Prompt:
        """Return a prompt whose receipt also lists what was left out."""
        *before, question = prompt.receipt.sections
        return replace(prompt, receipt=replace(prompt.receipt, sections=(*before, *self.omitted, question)))


def compress(
    evidence: Evidence, ratio: float, limit: int | None = None, min_confidence: float = MIN_CONFIDENCE
) -> Compressed:
    """Compress the sources of a question.

    The first of three levels is used that probably still contains the answer: records (clauses, lines and cells with
    their subjects), then as many of the best sentences as are needed, up to half of the tokens, then the full
    text. All shown text is from the sources, in their order.

    Args:
        evidence: evidence of the question, with ranked units.
        ratio: share of the tokens to keep, more than 0 and less than 1.
        limit: only the first sources; None for all.
        min_confidence: minimum probability that the answer is still there for a level to be used.

    Raises:
        SettingsError: if the ratio or the confidence is out of range.
    """
    check_ratio(ratio)
    if not 0 <= min_confidence <= 1:
        raise SettingsError(
            f"min_confidence must be between 0 and 1, got {min_confidence}.", "The default is usually right."
        )
    sources = evidence.sources[:limit]
    numbers = {source.number for source in sources}
    ranked = [one for one in evidence.ranked if one.unit.source.number in numbers]
    count = evidence.index.embedder.tokenizer.count
    full_tokens = sum(count(source.text) for source in sources)
    if evidence.question.kind in _WHOLE_KINDS or not ranked:
        why = f"questions of the kind {evidence.question.kind} need the full text" if ranked else "nothing to rank"
        return _full(sources, why, ratio, full_tokens, {})
    likely = unit_probabilities(ranked)
    parts = parts_of(evidence, sources, likely, evidence.index.embedder.tokenizer)
    whole = sum(part.probability for part in parts) or 1.0
    tried: dict[str, float] = {}
    levels: tuple[Level, Level] = ("records", "sentences")
    for level in levels:
        share = ratio if level == "records" else max(ratio, _SENTENCES_SHARE)
        budget = allowed = int(share * full_tokens)
        while True:
            if level == "records":
                kept = chosen(parts, allowed)
            else:
                kept = _sentences(parts, likely, min_confidence * whole, allowed)
            shown = _shown(sources, parts, kept)
            tokens = sum(count(source.prompt_text) for source in shown)
            if tokens <= budget or not kept:
                break
            # Marks of gaps take tokens as well.
            allowed -= tokens - budget
        confidence = sum(part.probability for part in kept) / whole
        tried[level] = confidence
        if not kept or confidence < min_confidence or tokens >= full_tokens:
            continue
        why = f"the answer is still there with a probability of {confidence:.2f}"
        left_out = tuple(one for source in sources for one in _left_out(source, kept))
        report = Compression(level, why, ratio, tokens, full_tokens, confidence, tried, left_out)
        return Compressed(shown, report, tuple(_kept(parts, kept)), tuple(_sections(sources, report)))
    best = max(tried.values())
    why = f"shorter contexts contain the answer with a probability of {best:.2f}, less than {min_confidence}"
    if best >= min_confidence:
        why = "the context is not shorter when compressed"
    return _full(sources, why, ratio, full_tokens, tried)


def _full(sources: Sequence[Source], why: str, ratio: float, tokens: int, tried: Mapping[str, float]) -> Compressed:
    kept = tuple(Stretch(source.number, source.start, source.end) for source in sources)
    return Compressed(tuple(sources), Compression("full", why, ratio, tokens, tokens, 1.0, tried, ()), kept)


def check_ratio(ratio: float) -> None:
    """Check a share of the tokens to keep.

    Raises:
        SettingsError: if it is not between 0 and 1.
    """
    if not 0 < ratio < 1:
        raise SettingsError(
            f"The compression ratio must be > 0 and < 1, got {ratio}.", "Use 0.25 to keep a quarter of the tokens."
        )


def _sentences(parts: Sequence[Part], likely: Mapping[Key, float], enough: float, budget: int) -> list[Part]:
    """Return the parts of the best units: as few units as are enough, or as the budget allows."""
    tokens: dict[Key, int] = {}
    held: dict[Key, float] = {}
    for part in parts:
        tokens[part.key] = tokens.get(part.key, 0) + part.tokens
        held[part.key] = held.get(part.key, 0.0) + part.probability
    kept: set[Key] = set()
    used, sure = 0, 0.0
    for key in sorted(tokens, key=lambda one: -likely[one]):
        if sure >= enough:
            break
        if used + tokens[key] <= budget:
            kept.add(key)
            used, sure = used + tokens[key], sure + held[key]
    return [part for part in parts if part.key in kept]


def _shown(sources: Sequence[Source], parts: Sequence[Part], kept: Sequence[Part]) -> tuple[Source, ...]:
    texts = ((source, _rendered(source, parts, kept)) for source in sources)
    return tuple(replace(source, shown=text) for source, text in texts if text is not None)


def _rendered(source: Source, parts: Sequence[Part], kept: Sequence[Part]) -> str | None:
    """Return what is shown of a source, a line for each unit; None if nothing is."""
    own = [part for part in parts if part.record.unit.source.number == source.number]
    shown = {id(part) for part in kept}
    spans = [part.record.evidence for part in own if id(part) in shown]
    lines = []
    named = ""
    for _, group in groupby(own, key=lambda part: part.key):
        line, before = "", True
        first: Part | None = None
        for part in group:
            here = id(part) in shown
            if here:
                gap = "; " if part.record.kind == "cell" else " " if before else _GAP
                line += f"{gap}{part.text}" if line else part.text
                first = first or part
            before = here
        if first is None:
            continue
        entity, span = " ".join(first.record.entity.split()), first.record.entity_span
        if span is not None and entity != named and not any(one[0] <= span[0] and span[1] <= one[1] for one in spans):
            line = f"{entity}: {line}"
        named = entity
        lines.append(line)
    return "\n".join(lines) if lines else None


def _kept(parts: Sequence[Part], kept: Sequence[Part]) -> list[Stretch]:
    """Return the stretches that are shown; neighbouring clauses of a unit are one."""
    shown = {id(part) for part in kept}
    found: list[Stretch] = []
    before: Part | None = None
    for part in parts:
        if id(part) not in shown:
            before = None
            continue
        start, end = part.record.evidence
        if before is not None and before.key == part.key:
            found[-1] = replace(found[-1], end=end)
        else:
            found.append(Stretch(part.record.unit.source.number, start, end))
        before = part
    return found


def _left_out(source: Source, kept: Sequence[Part]) -> list[Stretch]:
    """Return the stretches of a source that are not shown."""
    spans = sorted(part.record.evidence for part in kept if part.record.unit.source.number == source.number)
    found = []
    at = source.start
    for start, end in (*spans, (source.end, source.end)):
        gap = source.text[at - source.start : max(at, start) - source.start]
        if any(character.isalnum() for character in gap):
            first = at + len(gap) - len(gap.lstrip())
            found.append(Stretch(source.number, first, first + len(gap.strip())))
        at = max(at, end)
    return found


def _sections(sources: Sequence[Source], report: Compression) -> list[ReceiptSection]:
    """Return a section of the receipt for each source of which something was left out."""
    sections = []
    for source in sources:
        spans = [one for one in report.left_out if one.source == source.number]
        if not spans:
            continue
        text = _GAP.join(source.text[one.start - source.start : one.end - source.start] for one in spans)
        why = f"compressed to {report.level}: {report.tokens} of {report.full_tokens} tokens"
        place = f"{source.document.source}:{','.join(f'{one.start}-{one.end}' for one in spans)}"
        sections.append(ReceiptSection(f"source {source.number}", text, place, 0, "left out", why))
    return sections
