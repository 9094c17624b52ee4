"""Finds passages about names in the best hits, for questions that need two passages.

"Who directed the film that A Perfect Murder is a remake of?" finds the passage on A Perfect Murder, which names Dial M
for Murder; only a search for that name finds the passage with the director. The names in the first hits are searched
for together with the question, and a passage counts if it is about the name: in its title, a heading or its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.records import Hit
from ragkit.retrieval.retriever import Retriever
from ragkit.retrieval.terms import content_terms

if TYPE_CHECKING:
    from ragkit.indexing import Filter

FOLLOWED = 2
"""Number of first hits whose names are followed."""
MAX_NAMES = 12
"""Maximum number of names of a passage that are followed, the first ones."""
MAX_LINKED = 2
_KEPT = 3
"""First hits that stay before the linked passages."""
_HITS = 4
"""Hits of the search for a name."""
_NEW_TERMS = 0.3
"""Weight of the share of the question's terms that the first hit lacks and a linked passage has."""
_LEAD = 80
"""Characters at the beginning of a passage in which a name says what it is about."""
_PARTICLE = r"(?:of|the|de|and|for|in|von|van|der)"
_WORD = r"[A-Z0-9][\w'’&-]*"
_DOT = r"(?:(?:(?<=\b\w)|(?<=\b\w\w))\.)"
"""The full stop of an abbreviation of one or two letters; another one ends a sentence."""
_NAME = re.compile(rf"[A-Z][\w'’&-]*(?:{_DOT}? (?:{_PARTICLE} )?{_WORD})*")
_OPENING = re.compile(
    r"^(?:(?:The|An?|In|On|He|She|It|His|Her|They|There|This|These|As|At|For|By|From|After|During|Its)\b\s*)+"
)
_LOWER = re.compile(r"^(?:[a-z0-9]\S*\s*)+")


@dataclass(frozen=True, slots=True)
class Link:
    """The reference by which a passage was found."""

    name: str
    """Name in the text of another hit, which was searched for."""
    source: int
    """Key of that hit's chunk."""
    target: int
    """Key of the chunk that was found."""


@dataclass(frozen=True, slots=True)
class LinkedHits:
    """Hits of a question, and the passages found by names in them."""

    hits: tuple[Hit, ...]
    links: tuple[Link, ...]


def retrieve_linked(
    retriever: Retriever,
    question: str,
    k: int | None = None,
    where: Filter | str | None = None,
    first: Sequence[Hit] | None = None,
) -> LinkedHits:
    """Find the passages for a question, and up to two passages about names in the best of them.

    Names are recognised by their capital letters, so this works for scripts that have them.

    Args:
        retriever: retriever of the index.
        question: text of the question.
        k: maximum number of hits; by default ``retriever.options.k``.
        where: only documents that match.
        first: hits of the question, if it has already been searched.

    Raises:
        QueryError: if the question is empty or too long, k is less than 1, or the filter is invalid.
        IndexDamagedError: if a file of the index is damaged.
    """
    wanted = retriever.options.k if k is None else k
    hits = list(retriever.retrieve(question, wanted, where).hits if first is None else first)
    asked = question.casefold()
    found: dict[int, tuple[Hit, Link]] = {}
    by_name: dict[str, tuple[Hit, ...]] = {}
    for hit in hits[:FOLLOWED]:
        for name in names_in(hit.chunk.text)[:MAX_NAMES]:
            if name.casefold() in asked:
                continue
            if name not in by_name:
                by_name[name] = retriever.retrieve(f"{name} {question}"[:1000], _HITS, where).hits
            for other in by_name[name]:
                if other.chunk.key != hit.chunk.key and _is_about(other, name):
                    found.setdefault(other.chunk.key, (other, Link(name, hit.chunk.key, other.chunk.key)))
    if not found:
        return LinkedHits(tuple(hits[:wanted]), ())
    ranked = _ranked(retriever, question, hits[0], [hit for hit, _ in found.values()])
    kept = {hit.chunk.key for hit in hits[:_KEPT]}
    linked = [hit for hit in ranked[:MAX_LINKED] if hit.chunk.key not in kept]
    keys = kept | {hit.chunk.key for hit in linked}
    rest = [hit for hit in hits[_KEPT:] if hit.chunk.key not in keys]
    merged = [*hits[:_KEPT], *linked, *rest][:wanted]
    return LinkedHits(tuple(merged), tuple(found[hit.chunk.key][1] for hit in linked if hit in merged))


def names_in(text: str) -> list[str]:
    """Return the names in a text by their capital letters, each once, in order."""
    names: dict[str, None] = {}
    for match in _NAME.finditer(text):
        name = _LOWER.sub("", _OPENING.sub("", match.group())).strip()
        if len(name) > 2:
            names.setdefault(name)
    return list(names)


def _is_about(hit: Hit, name: str) -> bool:
    wanted = name.casefold()
    titles = (hit.document.title or "", *hit.chunk.heading_path, hit.chunk.text[:_LEAD])
    return any(wanted in title.casefold() for title in titles)


def _ranked(retriever: Retriever, question: str, first: Hit, hits: list[Hit]) -> list[Hit]:
    """Return linked passages by their similarity to the question, and by its terms that the first hit lacks."""
    index = retriever.index
    cosines = index.vectors([hit.chunk for hit in hits]) @ index.embedder.embed([question], "query")[0]
    lacking = set(content_terms(question)) - set(content_terms(first.chunk.embedded_text))
    scores: dict[int, float] = {}
    for hit, cosine in zip(hits, cosines, strict=True):
        new = lacking & set(content_terms(f"{hit.document.title} {hit.chunk.embedded_text}"))
        scores[hit.chunk.key] = float(cosine) + _NEW_TERMS * len(new) / max(1, len(lacking))
    return sorted(hits, key=lambda hit: (-scores[hit.chunk.key], hit.chunk.key))
