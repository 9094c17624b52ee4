"""One selector for all ways: filter, then candidates, then the choice of a set, then its order."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ragkit.errors import ExamplePoolError, SettingsError
from ragkit.examples.base import Room, Shot, check_request
from ragkit.examples.choosing import Scores, balanced, coverage, determinantal
from ragkit.examples.overlap import OverlapIndex
from ragkit.examples.pool import OUTPUT, ExamplePool, normal
from ragkit.indexing import Filter
from ragkit.indexing.filters import as_filter
from ragkit.records import Hit
from ragkit.retrieval import RetrievalOptions, Retriever
from ragkit.retrieval.fusion import stretched
from ragkit.retrieval.mmr import maximal_marginal_relevance
from ragkit.retrieval.terms import content_terms

By = Literal["dense", "keyword", "hybrid", "jaccard", "ngram", "random"]
Choice = Literal["best", "mmr", "dpp", "coverage", "balanced"]
Order = Literal["best_last", "best_first", "random"]
_LEGAL = {"by": get_args(By), "choice": get_args(Choice), "order": get_args(Order)}
_TOLD = {
    "dense": "cosine",
    "keyword": "BM25",
    "hybrid": "fused score",
    "jaccard": "shared words",
    "ngram": "shared runs of words",
}
_ALSO = {
    "mmr": ", chosen to differ from the others",
    "dpp": ", chosen to differ from the others",
    "coverage": ", chosen to cover the input's words",
    "balanced": ", labels in turns",
}


@dataclass(frozen=True, slots=True)
class SelectorOptions:
    """How to choose."""

    by: By = "dense"
    """What makes an example a candidate: nearness of vectors, keywords, both, the Jaccard index of words or of runs of
    up to three words, or chance."""
    choice: Choice = "best"
    """How a set is made of the candidates: the best, or a set that is also varied (``mmr``, ``dpp``), that covers the
    input's words (``coverage``), or that has its labels in turns (``balanced``)."""
    candidates: int = 100
    """From which a set is chosen, where it is not simply the best."""
    order: Order = "best_last"
    """In which they are shown: a model heeds most what stands last."""
    diversity: float = 0.3
    """Of ``mmr``: 0 for the nearest, towards 1 for those that differ."""
    hide_own: bool = True
    """The leakage guard: an example with the very input that is asked about is never chosen."""
    own_cosine: float = 0.995
    """The guard also hides what is this near to the input; 1 and above hides only the same text."""
    seed: int = 0
    """Of chance, together with the input: the same input gets the same examples."""

    def __post_init__(self) -> None:
        for name, legal in _LEGAL.items():
            if getattr(self, name) not in legal:
                raise SettingsError(f"Unknown {name} {getattr(self, name)!r}.", f"Legal values: {', '.join(legal)}.")
        if self.candidates < 1 or not 0 <= self.diversity < 1:
            raise SettingsError(
                f"candidates={self.candidates} and diversity={self.diversity} can't be.",
                "Give 1 candidate or more, and a diversity of 0 up to 1.",
            )


@dataclass(frozen=True, slots=True)
class _Overlaps:
    """What is kept of a generation of the pool."""

    generation: int
    index: OverlapIndex
    keys: list[int]
    documents: list[str]


class DynamicSelector:
    """Chooses examples of a pool afresh for every input; no model is called but the pool's embedder.

    Args:
        pool: to choose from; what is added later is seen.
        options: how.
        where: only examples whose fields match, such as ``Field("lang") == "en"``.
    """

    def __init__(
        self, pool: ExamplePool, options: SelectorOptions = SelectorOptions(), where: Filter | str | None = None
    ) -> None:
        self.pool = pool
        self.options = options
        self._where = as_filter(where)
        self._overlap: _Overlaps | None = None
        self._guard = threading.Lock()

    def select(self, text: str, k: int = 8, room: Room | None = None) -> list[Shot]:
        """Return at most ``k`` examples in the order in which they are to be shown; see ``ExampleSelector``."""
        check_request(text, k)
        if not len(self.pool):
            raise ExamplePoolError("The pool is empty.", "Add examples: pool.add([...])")
        # What does not fit the room makes place for candidates further down.
        wanted = k if self.options.choice == "best" and room is None else max(k, self.options.candidates)
        chosen = self._chosen(text, self._candidates(text, wanted), k, room)
        if self.options.order == "best_last":
            chosen.reverse()
        elif self.options.order == "random":
            self._chance(text).shuffle(chosen)
        return chosen

    def _candidates(self, text: str, wanted: int) -> list[Hit]:
        """Return candidates, best first, without what the guard hides, each document once."""
        # A few more, for the guard hides some and a long input comes in several chunks.
        reach = wanted + 8
        while True:
            hits = self._search(text, reach)
            seen: dict[str, Hit] = {}
            for hit in hits:
                seen.setdefault(hit.document.id, hit)
            kept = self._without_own(text, list(seen.values()))
            if len(kept) >= wanted or len(hits) < reach:
                return kept[:wanted]
            reach *= 4

    def _search(self, text: str, reach: int) -> list[Hit]:
        by = self.options.by
        if by in ("dense", "keyword", "hybrid"):
            options = RetrievalOptions(mode=by, k=reach, candidates=max(reach, 50))
            return list(Retriever(self.pool.index, options).search(text, where=self._where))
        overlaps = self._overlaps()
        if by == "random":
            scores = self._chance(text).random(len(overlaps.keys), dtype=np.float32)
        else:
            scores = overlaps.index.scores(text)
        allowed = None if self._where is None else {info.id for info in self.pool.index.documents(self._where)}
        best = np.lexsort((np.arange(len(scores)), -scores))
        taken = [int(n) for n in best if allowed is None or overlaps.documents[n] in allowed][:reach]
        rows = self.pool.index.chunks([overlaps.keys[n] for n in taken])
        return [
            Hit(chunk, info, float(scores[n]), {by: float(scores[n])})
            for n, (chunk, info) in zip(taken, rows, strict=True)
        ]

    def _overlaps(self) -> _Overlaps:
        generation = self.pool.index.generation
        with self._guard:
            if self._overlap is None or self._overlap.generation != generation:
                chunks = list(self.pool.index.each_chunk())
                texts = [""] * len(chunks) if self.options.by == "random" else [chunk.text for chunk in chunks]
                index = OverlapIndex(texts, 3 if self.options.by == "ngram" else 1)
                keys, documents = [chunk.key for chunk in chunks], [chunk.document_id for chunk in chunks]
                self._overlap = _Overlaps(generation, index, keys, documents)
            return self._overlap

    def _without_own(self, text: str, hits: Sequence[Hit]) -> list[Hit]:
        if not self.options.hide_own:
            return list(hits)
        own = normal(text)
        kept = [hit for hit in hits if normal(hit.chunk.text) != own]
        if self.options.own_cosine >= 1 or not kept:
            return kept
        embedder = self.pool.index.embedder
        asked = embedder.embed([text], "document")[0]
        cosines = self.pool.index.vectors([hit.chunk for hit in kept]) @ asked
        return [hit for hit, cosine in zip(kept, cosines, strict=True) if cosine < self.options.own_cosine]

    def _chosen(self, text: str, hits: list[Hit], k: int, room: Room | None) -> list[Shot]:
        shots = [Shot(self.pool.example(hit.document), hit.score, self._reason(hit)) for hit in hits]
        left = list(range(len(hits)))
        while True:
            picked = [left[number] for number in self._set(text, [hits[number] for number in left], k)] if left else []
            if room is None:
                break
            fits = room.fitting([shots[number].example for number in picked], k)
            if len(fits) == len(picked):
                break
            # The choice is made anew as if the first that does not fit were not there; what comes before it stays.
            misfit = next(number for place, number in enumerate(picked) if place not in fits)
            left.remove(misfit)
        return [shots[number] for number in picked]

    def _reason(self, hit: Hit) -> str:
        told = _TOLD.get(self.options.by)
        also = _ALSO.get(self.options.choice, "")
        return f"{told} {hit.score:.3f}{also}" if told else f"by chance{also}"

    def _set(self, text: str, hits: list[Hit], k: int) -> list[int]:
        how = self.options.choice
        if how == "best":
            return list(range(min(k, len(hits))))
        if how == "balanced":
            return balanced([str(hit.document.metadata[OUTPUT]) for hit in hits], k)
        if how == "coverage":
            return coverage(*_parts(text, hits), k)
        vectors = self.pool.index.vectors([hit.chunk for hit in hits])
        relevance = stretched([hit.score for hit in hits])
        if how == "mmr":
            return [
                number for number, _ in maximal_marginal_relevance(relevance, vectors, k, 1 - self.options.diversity)
            ]
        return determinantal(0.05 + relevance, vectors, k)

    def _chance(self, text: str) -> np.random.Generator:
        # The same input gets the same examples, in every process.
        return np.random.default_rng([self.options.seed, *text.encode("utf-8", "surrogatepass")])


def _parts(text: str, hits: Sequence[Hit]) -> tuple[Scores, Scores]:
    """Return which candidate has which of the input's words, ``[n, words]``, and how rare each is among them."""
    terms = list(dict.fromkeys(content_terms(text))) or [normal(text)]
    present = np.array([[term in own for term in terms] for own in (set(content_terms(h.chunk.text)) for h in hits)])
    weights = np.log1p(len(hits) / (1 + present.sum(axis=0)))
    return present.astype(np.float32), weights.astype(np.float32)
