"""The retriever: search, fuse, rerank, diversify."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from ragkit._tracing import Attributes, Span, in_span, record
from ragkit.errors import IndexChangedError, IndexDamagedError, QueryError, SettingsError
from ragkit.indexing.filters import Filter, as_filter
from ragkit.records import Chunk, DocumentInfo, Hit, Hits
from ragkit.retrieval.fusion import convex_combination, min_max_normalize, reciprocal_rank_fusion
from ragkit.retrieval.mmr import maximal_marginal_relevance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.embedding import Embedder, Vectors
    from ragkit.indexing import Index
    from ragkit.indexing.vectors import Scored

Mode = Literal["hybrid", "dense", "keyword"]
LONGEST_QUERY = 100_000
"""Maximum length of a query, in characters."""
_LATE_SHARE = 0.7
"""Weight of late interaction in its ranking; the search that found the passages has the rest. Alone it is worse."""
_DIVERSIFIED = 500
"""Hits at most that are chosen one by one for difference, which takes time in the square of their number."""


@dataclass(frozen=True, slots=True)
class RetrievalOptions:
    """Options of retrieval. The defaults are those that measured best (docs/benchmarks.md)."""

    k: int = 8
    mode: Mode = "hybrid"
    candidates: int = 100
    """Number of hits from each searcher for the fusion; at least ``k``."""
    fusion: Literal["convex", "rrf"] = "convex"
    keyword_weight: float = 0.5
    """Weight of the keyword searcher in the fusion, 0 to 1; the vector searcher has the rest."""
    rerank: str | None = None
    """``late`` for late interaction, or a cross-encoder: its folder, or ``hf:OWNER/REPO``."""
    rerank_candidates: int = 20
    """Number of best hits that are reranked; the others stay after them."""
    diversity: float = 0.0
    """0 for the most relevant hits, towards 1 for hits that differ (MMR), chosen from four times ``k``."""

    def __post_init__(self) -> None:
        if self.mode not in ("hybrid", "dense", "keyword"):
            raise SettingsError(f"Unknown mode {self.mode!r}.", "Legal values: hybrid, dense, keyword.")
        if self.fusion not in ("convex", "rrf"):
            raise SettingsError(f"Unknown fusion {self.fusion!r}.", "Legal values: convex, rrf.")
        if not (0 <= self.keyword_weight <= 1 and 0 <= self.diversity <= 1):
            raise SettingsError(
                f"keyword_weight {self.keyword_weight} and diversity {self.diversity} must be between 0 and 1.",
                "Change the one that is not.",
            )
        if self.k < 1 or self.candidates < 1 or self.rerank_candidates < 1:
            raise SettingsError("k, candidates and rerank_candidates must be 1 or more.", "Change the one that is not.")


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Hits of a query, with the number of candidates and the timings."""

    query: str
    hits: tuple[Hit, ...]
    timings: Mapping[str, float]
    """Seconds by stage: ``embed``, ``dense``, ``keyword``, ``fuse``, ``fetch``, ``rerank``, ``diversify``."""
    best_cosine: float = 0.0
    """Highest cosine of any chunk to the query, independent of the order of the hits; 0 if no vectors were searched."""
    found: Mapping[str, int] = field(default_factory=dict)
    """Hits of each searcher before the fusion."""
    missing_shards: tuple[str, ...] = ()
    """Problems of the shards of the index that were not searched, one line each."""

    def _repr_html_(self) -> str:
        from ragkit.display import hits_html

        return hits_html(self.hits, self.query)


class Reranker(Protocol):
    """Rescores passages."""

    def score(self, query: str, chunks: Sequence[Chunk]) -> list[float]:
        """Return a score for each chunk, higher is better."""
        ...


class Searcher(Protocol):
    """Searches an index in addition to vectors and keywords, such as by title, date or an external service."""

    name: str
    """Name of its scores in ``Hit.scores``; not ``dense``, ``keyword`` or ``fused``."""
    weight: float
    """Weight in the fusion; the weights of vector and keyword search add up to 1."""

    def search(self, query: str, k: int, where: Filter | None) -> Sequence[tuple[int, float]]:
        """Return the keys of at most ``k`` chunks with their scores, best first; higher is better.

        Args:
            query: query as asked.
            k: maximum number of chunks.
            where: return only chunks of documents that match; ``index.keys(where)`` lists them.
        """
        ...


class Retriever:
    """Finds passages in an index.

    Args:
        index: index to search.
        options: options of retrieval.
        reranker: rescores the best hits; replaces ``options.rerank``.
        searchers: further searchers, fused with the vectors and keywords.

    Raises:
        SettingsError: if ``options`` names a reranker and one is given, or two searchers have one name.
    """

    def __init__(
        self,
        index: Index,
        options: RetrievalOptions | None = None,
        reranker: Reranker | None = None,
        searchers: Sequence[Searcher] = (),
    ) -> None:
        self.index = index
        self.options = options or RetrievalOptions()
        if reranker is not None and self.options.rerank is not None:
            raise SettingsError(
                f"There are two rerankers: rerank={self.options.rerank!r} in the options, and a reranker.",
                "Remove one of them.",
            )
        names = ["dense", "keyword", "fused", *(searcher.name for searcher in searchers)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SettingsError(f"Two searchers are named {twice[0]!r}.", "Use a unique name for each searcher.")
        self.searchers = tuple(searchers)
        self._given_reranker = reranker
        self._reranker: tuple[Embedder | None, Reranker] | None = None

    @property
    def _reranks(self) -> bool:
        return self._given_reranker is not None or self.options.rerank is not None

    def search(self, query: str, k: int | None = None, where: Filter | str | None = None) -> Hits:
        """Return the best hits; see ``retrieve``."""
        return Hits(self.retrieve(query, k, where).hits)

    def retrieve(self, query: str, k: int | None = None, where: Filter | str | None = None) -> Retrieval:
        """Find the best-matching passages for a query.

        Args:
            query: any text, up to 100,000 characters.
            k: maximum number of hits; by default ``options.k``. If there are fewer, all are returned.
            where: only documents that match; ``k`` matching hits are returned if they exist.

        Files with the same content count as one: each of their passages is returned once, from the best-ranked file.

        Raises:
            QueryError: if the query is empty or too long, k is less than 1, or the filter can't be read.
            IndexDamagedError: if a file of the index is damaged.
        """
        wanted = self.options.k if k is None else k
        _check(query, wanted)
        attributes: Attributes = {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.data_source.id": self.index.path.name,
            "gen_ai.request.top_k": wanted,
        }
        with in_span(f"retrieval {self.index.path.name}", attributes) as span:
            found = self._retrieved(query, wanted, where)
            if span.recording:
                _note(found, span)
        record("ragkit.stage.duration", span.seconds, {"ragkit.stage": "retrieval"})
        return found

    def _retrieved(self, query: str, wanted: int, where: Filter | str | None) -> Retrieval:
        condition = as_filter(where)
        timings: dict[str, float] = {}
        try:
            lists, hits, vectors = self._searched(query, wanted, condition, timings)
        except IndexChangedError:
            # Another process moved the index to another embedding model after the query was embedded.
            lists, hits, vectors = self._searched(query, wanted, condition, timings)
        if self._reranks:
            with _timed(timings, "rerank"), in_span("ragkit.rerank") as span:
                span.set({"ragkit.rerank.candidates": min(len(hits), self.options.rerank_candidates)})
                hits = self._reranked(query, hits)
        if self.options.diversity:
            with _timed(timings, "diversify"):
                hits = self._diverse(hits, vectors, wanted)
        cosines = lists["dense"][1].tolist() if "dense" in lists else []
        return Retrieval(
            query,
            tuple(hits[:wanted]),
            timings,
            cosines[0] if cosines else 0.0,
            {name: len(keys) for name, (keys, _) in lists.items()},
            self.index.missing_shards,
        )

    def _distinct(self, order: Sequence[int], count: int) -> list[tuple[Chunk, DocumentInfo]]:
        """Return the first ``count`` chunks of ``order`` that repeat no passage from a copy of their document."""
        rows: list[tuple[Chunk, DocumentInfo]] = []
        seen: dict[str, list[tuple[Chunk, DocumentInfo]]] = {}
        at = 0
        while at < len(order) and len(rows) < count:
            batch = order[at : at + count - len(rows)]
            at += len(batch)
            found = self.index.chunks(batch)
            if len(found) < len(batch):
                raise IndexDamagedError(
                    f"{len(batch) - len(found)} chunks that the search found are missing from the index.",
                    "Check and repair it: ragkit verify INDEX, ragkit repair INDEX",
                )
            for chunk, info in found:
                same_content = seen.setdefault(info.sha256, [])
                if not any(_repeats(chunk, info, *other) for other in same_content):
                    rows.append((chunk, info))
                    same_content.append((chunk, info))
        return rows

    def _searched(
        self, query: str, wanted: int, condition: Filter | None, timings: dict[str, float]
    ) -> tuple[dict[str, Scored], list[Hit], dict[int, Vectors]]:
        """Return the hits of each searcher, the fused ones, and their vectors by key if diversity needs them.

        All are of one generation of the index, and the query is embedded by the model of that generation.
        """
        depth = max(wanted, self.options.candidates)
        pool = 4 * wanted if self.options.diversity else wanted
        if self._reranks:
            pool = max(pool, self.options.rerank_candidates)
        vector, model_id = None, None
        if self.options.mode != "keyword":
            with _timed(timings, "embed"):
                embedder = self.index.embedder
                vector, model_id = embedder.embed([query], "query")[0], embedder.model_id
        with self.index.snapshot(model_id):
            while True:
                lists: dict[str, Scored] = {}
                if vector is not None:
                    with _timed(timings, "dense"):
                        lists["dense"] = self.index.search_vectors(vector, depth, condition)
                if self.options.mode != "dense":
                    with _timed(timings, "keyword"):
                        lists["keyword"] = self.index.search_keywords(query, depth, condition)
                for searcher in self.searchers:
                    with _timed(timings, searcher.name):
                        lists[searcher.name] = _scored(searcher.search(query, depth, condition), depth)
                with _timed(timings, "fuse"):
                    order, fused = self._fused(lists, depth)
                with _timed(timings, "fetch"):
                    rows = self._distinct(order, pool)
                if len(rows) >= wanted or all(len(keys) < depth for keys, _ in lists.values()):
                    break
                # Copies of documents took the places of other passages.
                depth *= 4
            chunks = [chunk for chunk, _ in rows] if self.options.diversity else []
            vectors = dict(zip([chunk.key for chunk in chunks], self.index.vectors(chunks), strict=True))
        return lists, [_hit(chunk, info, lists, fused) for chunk, info in rows], vectors

    def _fused(self, lists: dict[str, Scored], depth: int) -> tuple[list[int], dict[int, float]]:
        """Return the keys, best first, and their fused scores; equal scores by key."""
        if len(lists) == 1:
            keys, scores = next(iter(lists.values()))
            return keys.tolist(), dict(zip(keys.tolist(), scores.tolist(), strict=True))
        weights = {"keyword": self.options.keyword_weight, "dense": 1 - self.options.keyword_weight}
        weights |= {searcher.name: searcher.weight for searcher in self.searchers}
        if self.options.fusion == "convex":
            fused = convex_combination(lists, weights, depth)
        else:
            fused = reciprocal_rank_fusion(lists, weights)
        return sorted(fused, key=lambda key: (-fused[key], key)), fused

    def _reranked(self, query: str, hits: list[Hit]) -> list[Hit]:
        head, tail = hits[: self.options.rerank_candidates], hits[self.options.rerank_candidates :]
        scores = self._current_reranker().score(query, [hit.chunk for hit in head])
        if self.options.rerank == "late":
            before = min_max_normalize([hit.score for hit in head])
            scores = (_LATE_SHARE * min_max_normalize(scores) + (1 - _LATE_SHARE) * before).tolist()
        pairs = sorted(zip(scores, head, strict=True), key=lambda pair: (-pair[0], pair[1].chunk.key))
        ranked = [Hit(h.chunk, h.document, score, {**h.scores, "rerank": score}) for score, h in pairs]
        return ranked + _below(ranked, tail)

    def _current_reranker(self) -> Reranker:
        """Return the reranker; late interaction is opened again when the index has moved to another model."""
        if self._given_reranker is not None:
            return self._given_reranker
        embedder = self.index.embedder if self.options.rerank == "late" else None
        opened = self._reranker
        if opened is None or opened[0] is not embedder:
            if embedder is not None:
                from ragkit.retrieval.late_interaction import LateInteraction

                opened = embedder, LateInteraction(embedder)
            else:
                from ragkit.retrieval.cross_encoder import CrossEncoderReranker

                opened = None, CrossEncoderReranker(self.options.rerank or "")
            self._reranker = opened
        return opened[1]

    def _diverse(self, hits: list[Hit], by_key: dict[int, Vectors], k: int) -> list[Hit]:
        head, tail = hits[:_DIVERSIFIED], hits[_DIVERSIFIED:]
        relevance = min_max_normalize([hit.score for hit in head])
        vectors = np.stack([by_key[hit.chunk.key] for hit in head]) if head else np.zeros((0, 0), dtype=np.float32)
        chosen = maximal_marginal_relevance(relevance, vectors, k, 1 - self.options.diversity)
        picked = [Hit(head[n].chunk, head[n].document, gain, {**head[n].scores, "mmr": gain}) for n, gain in chosen]
        return picked + _below(picked, tail)


def _note(found: Retrieval, span: Span) -> None:
    """Put the ids and scores of the hits on a span; the query only if texts are recorded."""
    hits = [{"id": f"{hit.document.id}#{hit.chunk.key}", "score": float(hit.score)} for hit in found.hits]
    span.set({"gen_ai.retrieval.documents": json.dumps(hits), "ragkit.hits": len(hits)})
    if span.with_content:
        span.set({"gen_ai.retrieval.query.text": found.query})


def _check(query: str, k: int) -> None:
    if not query.strip():
        raise QueryError("The query is empty.", "Say what to look for.")
    if len(query) > LONGEST_QUERY:
        raise QueryError(
            f"The query has {len(query):,} characters; {LONGEST_QUERY:,} is the maximum.", "Pass the relevant part."
        )
    if k < 1:
        raise QueryError(f"k is {k}.", "Ask for 1 hit or more.")


def _repeats(chunk: Chunk, info: DocumentInfo, other: Chunk, other_info: DocumentInfo) -> bool:
    """Return whether a chunk shows a passage that ``other`` has from another file with the same content.

    The copies may be cut in other places, as a title takes a part of the window.
    """
    return info.origin != other_info.origin and other.start <= (chunk.start + chunk.end) // 2 < other.end


def _scored(found: Sequence[tuple[int, float]], depth: int) -> Scored:
    """Return a searcher's result as arrays, best first, ``depth`` at most."""
    keys = np.array([key for key, _ in found[:depth]], dtype=np.int64)
    scores = np.array([score for _, score in found[:depth]], dtype=np.float32)
    order = np.argsort(-scores, kind="stable")
    return keys[order], scores[order]


def _hit(chunk: Chunk, info: DocumentInfo, lists: dict[str, Scored], fused: dict[int, float]) -> Hit:
    scores: dict[str, float] = {}
    for name, (keys, values) in lists.items():
        at = np.flatnonzero(keys == chunk.key)
        if len(at):
            scores[name] = float(values[at[0]])
    if len(lists) > 1:
        scores["fused"] = fused[chunk.key]
    return Hit(chunk, info, fused[chunk.key], scores)


def _below(head: list[Hit], tail: list[Hit]) -> list[Hit]:
    """Return ``tail`` with its scores moved to below those of ``head``, which are of another scale."""
    down = head[-1].score - tail[0].score if tail else 0.0
    return [Hit(h.chunk, h.document, h.score + down, h.scores) for h in tail]


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        timings[stage] = timings.get(stage, 0.0) + time.perf_counter() - started
