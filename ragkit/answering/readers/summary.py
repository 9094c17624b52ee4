"""Summaries without a model: the representative sentences of each section of the named document or section."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from ragkit.answering.readers.base import Evidence, Part, Reply, Span
from ragkit.answering.units import Unit
from ragkit.documents.front_matter import front_matter_end
from ragkit.prompting import Source
from ragkit.records import Document
from ragkit.retrieval.terms import content_terms

MAX_SENTENCES = 10
_MAX_CHARS = 200_000
"""Maximum number of characters of a document that are read; of a longer one, the first, as the reply says."""
_TITLE = 0.5
"""Bonus of a document whose title or a heading has all terms of the question."""
_COMMAND = frozenset(
    content_terms(
        "summary summarise summarize gist overview short brief key main points page document section tl dr please"
    )
)


class SummaryReader:
    """Picks sentences that cover the sections (the centroid method of Radev et al., 2004, within each section)."""

    name = "summary"

    def read(self, evidence: Evidence) -> Reply | None:
        """Return the sentences in the order of the document; None if nothing was found."""
        target = _target(evidence)
        if target is None:
            return None
        whole = evidence.stretch(target.source, target.start, min(target.end, target.start + _MAX_CHARS))
        document = evidence.document(whole)
        # Titles, tags and links of the front matter say nothing in a summary.
        start = front_matter_end(document.text, document.metadata) if document.media_type == "text/markdown" else 0
        units = [
            unit
            for unit in evidence.units(whole)
            if unit.kind not in ("heading", "code") and len(unit.text) > 20 and unit.start >= start
        ]
        chosen = _representative(units, set(content_terms(evidence.question.query)) - _COMMAND, document)
        if not chosen:
            return None
        cut = target.end - target.start > _MAX_CHARS
        missing = f"Only the first {_MAX_CHARS:,} characters were summarised." if cut else ""
        return Reply(
            tuple(Part(unit.unmarked, Span.of(unit)) for unit in chosen), "items", missing=missing, reader=self.name
        )


def _target(evidence: Evidence) -> Span | None:
    """Return the document or section that a question names, or that its best hits are from."""
    if not evidence.ranked:
        return None
    wanted = set(content_terms(evidence.question.query)) - _COMMAND
    worth: dict[str, float] = defaultdict(float)
    sources: dict[str, Source] = {}
    for place, source in enumerate(evidence.sources):
        sources.setdefault(source.document.id, source)
        worth[source.document.id] += 1 / (1 + place)
    for key, source in sources.items():
        worth[key] += 2 * _TITLE * _share(wanted, source.document.title)
    key = max(worth, key=lambda key: worth[key])
    document = evidence.document(sources[key])
    best = max(document.headings, key=lambda h: (_share(wanted, h.title), h.end - h.start), default=None)
    titled = _share(wanted, document.title)
    if best is not None and _share(wanted, best.title) > max(titled, 0.5) and best.end - best.start > 200:
        return Span(sources[key], best.start, best.end)
    return Span(sources[key], 0, len(document.text))


def _share(wanted: set[str], text: str) -> float:
    return len(wanted & set(content_terms(text))) / len(wanted) if wanted else 0.0


def _representative(units: Sequence[Unit], wanted: set[str], document: Document) -> list[Unit]:
    """Return the units to show, by section: those that contain what is frequent in their section and asked for."""
    if len(units) <= MAX_SENTENCES:
        return list(units)
    everywhere = Counter(term for unit in units for term in set(content_terms(unit.text)))
    sections: dict[int, list[Unit]] = defaultdict(list)
    for unit in units:
        inner = document.headings_at(unit.start)
        sections[inner[-1].start if inner else -1].append(unit)
    ranked: list[tuple[int, float, Unit]] = []
    for members in sections.values():
        here = Counter(term for unit in members for term in set(content_terms(unit.text)))

        def weight(unit: Unit, at: int, here: Counter[str] = here, size: int = len(members)) -> float:
            terms = set(content_terms(unit.text))
            if not terms:
                return 0.0
            central = sum(here[term] / size + 0.3 * math.log1p(everywhere[term]) for term in terms) / math.sqrt(
                len(terms) + 4
            )
            return (
                central
                + 1.0 / (1 + at)
                + 0.5 * len(terms & wanted)
                - (0.5 if unit.text.rstrip().endswith("?") else 0.0)
            )

        order = sorted(range(len(members)), key=lambda at: -weight(members[at], at))
        ranked += [(place, -weight(members[at], at), members[at]) for place, at in enumerate(order)]
    ranked.sort(key=lambda item: (item[0], item[1]))
    return sorted((unit for _, _, unit in ranked[:MAX_SENTENCES]), key=lambda unit: unit.start)
