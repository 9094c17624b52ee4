"""The selector: filter, then candidates, then choice of a set, then order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, get_args

from ragkit.errors import ExamplePoolError, SettingsError
from ragkit.examples.base import Shot, TokenBudget, check_request
from ragkit.examples.candidates import By, CandidateSearch
from ragkit.examples.choosing import balanced, coverage, determinantal, shared_terms, within
from ragkit.examples.pool import OUTPUT, ExamplePool
from ragkit.examples.saving import read_selector, write_selector
from ragkit.examples.token_vectors import token_weights
from ragkit.indexing import Filter
from ragkit.indexing.filters import as_filter
from ragkit.records import Hit
from ragkit.retrieval.fusion import min_max_normalize
from ragkit.retrieval.mmr import maximal_marginal_relevance

Choice = Literal["best", "mmr", "dpp", "coverage", "keyword_coverage", "balanced"]
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
    "coverage": ", chosen to cover the input's meaning",
    "keyword_coverage": ", chosen to cover the input's words",
    "balanced": ", alternating labels",
}


@dataclass(frozen=True, slots=True)
class SelectorOptions:
    """Options of example selection."""

    by: By = "dense"
    """Similarity that selects candidates: vectors, keywords, both, the Jaccard index of words or of word n-grams up to
    3, or random choice."""
    choice: Choice = "best"
    """Method of choosing a set from the candidates: the best ones, or a set that is also diverse (``mmr``, ``dpp``),
    that covers the input token by token (``coverage``, by the token vectors of Set-BSR) or word by word
    (``keyword_coverage``), or that alternates its labels (``balanced``)."""
    candidates: int = 100
    """Number of candidates from which a set is chosen, unless ``choice`` is ``best``."""
    order: Order = "best_last"
    """Order in the prompt. Models weight the last examples most."""
    diversity: float = 0.3
    """Diversity of ``mmr``: 0 for the nearest examples, towards 1 for more different ones."""
    exclude_self: bool = True
    """Leakage guard: an example with the same input is never chosen."""
    duplicate_threshold: float = 0.995
    """Minimum cosine of near-duplicates, which the guard also excludes, like inputs that differ only in punctuation;
    from 1 on, it excludes only the same text, ignoring white space and case."""
    seed: int = 0
    """Random seed, combined with the input: the same input gets the same examples."""

    def __post_init__(self) -> None:
        for name, legal in _LEGAL.items():
            if getattr(self, name) not in legal:
                raise SettingsError(f"Unknown {name} {getattr(self, name)!r}.", f"Legal values: {', '.join(legal)}.")
        if self.candidates < 1 or not 0 <= self.diversity < 1:
            raise SettingsError(
                "candidates must be >= 1, and diversity >= 0 and < 1, "
                f"got candidates={self.candidates} and diversity={self.diversity}.",
                "Pass values in these ranges.",
            )


class DynamicSelector:
    """Chooses examples of a pool for each input; only the pool's embedding model is called.

    Safe to share between threads.

    Args:
        pool: pool to choose from; later additions are seen.
        options: options of selection.
        where: only examples whose fields match, such as ``Field("lang") == "en"``.
    """

    def __init__(
        self, pool: ExamplePool, options: SelectorOptions = SelectorOptions(), where: Filter | str | None = None
    ) -> None:
        self.pool = pool
        self.options = options
        self.where = as_filter(where)
        guard = options.duplicate_threshold if options.exclude_self else None
        self.search = CandidateSearch(pool, options.by, self.where, guard, options.seed)

    def select(self, text: str, k: int = 8, budget: TokenBudget | None = None) -> list[Shot]:
        """Return at most ``k`` examples in the order in which they are to be shown; see ``ExampleSelector``."""
        check_request(text, k)
        # What does not fit the budget makes place for candidates further down.
        wanted = k if self.options.choice == "best" and budget is None else max(k, self.options.candidates)
        hits = self._candidates(text, wanted)
        if not hits:
            self._check_pool()
        chosen = self._chosen(text, hits, k, budget) if hits else []
        if self.options.order == "best_last":
            chosen.reverse()
        elif self.options.order == "random":
            self.search.chance(text).shuffle(chosen)
        return chosen

    def save(self, path: str | Path) -> None:
        """Write options, filter, and path and fingerprint of the pool to a JSON file, atomically."""
        write_selector(path, self.pool, self.options, self.where)

    @classmethod
    def open(cls, path: str | Path, pool: ExamplePool | None = None) -> Self:
        """Open a saved selector.

        Args:
            path: path of the file.
            pool: pool to choose from, with any contents; by default the one that it was saved with, which must have the
                examples that it had then.

        Raises:
            ExamplePoolError: if the file is missing or damaged, or the pool has changed.
            StoreError: if the pool is gone.
        """
        saved = read_selector(path, SelectorOptions)
        return cls(saved.opened_pool() if pool is None else pool, saved.options, saved.where)

    def _candidates(self, text: str, wanted: int) -> list[Hit]:
        """Return candidates, best first, without what the guard hides, each document once."""
        return self.search.find(text, wanted)

    def _check_pool(self) -> None:
        """Check that there are examples to choose from; it takes time, so it is called only if nothing was found."""
        if not len(self.pool):
            raise ExamplePoolError("The pool is empty.", "Add examples: pool.add([...])")
        if self.where is not None and not len(self.pool.index.keys(self.where)):
            some = next(iter(self.pool))
            raise ExamplePoolError(
                f"None of the {len(self.pool):,} examples passes the filter {self.where}.",
                f"Correct the filter. An example has the fields {', '.join((OUTPUT, *some.metadata))}.",
            )

    def _chosen(self, text: str, hits: list[Hit], k: int, budget: TokenBudget | None) -> list[Shot]:
        shots: dict[int, Shot] = {}

        def shot(number: int) -> Shot:
            hit = hits[number]
            if number not in shots:
                shots[number] = Shot(self.pool.example(hit.document, hit.chunk), hit.score, self._reason(hit))
            return shots[number]

        choose = self._choice(text, hits)
        if budget is None:
            numbers = choose(list(range(len(hits))), k)
        else:
            numbers = within(budget.tokens, len(hits), k, choose, lambda number: budget.count(shot(number).example))
        return [shot(number) for number in numbers]

    def _reason(self, hit: Hit) -> str:
        told = _TOLD.get(self.options.by)
        also = _ALSO.get(self.options.choice, "")
        return f"{told} {hit.score:.3f}{also}" if told else f"by chance{also}"

    def _choice(self, text: str, hits: list[Hit]) -> Callable[[list[int], int], list[int]]:
        """Return what chooses k of some of the hits, the preferred first: numbers of hits to numbers of hits."""
        how = self.options.choice
        if how == "best":
            return lambda some, k: some[:k]
        if how == "balanced":
            labels = [str(hit.document.metadata[OUTPUT]) for hit in hits]
            return lambda some, k: [some[n] for n in balanced([labels[n] for n in some], k)]
        texts = [hit.chunk.text for hit in hits]
        if how == "coverage":
            parts = self.search.asked(text).parts
            similarity = self.pool.tokens.similarity(parts, texts)
            weights = token_weights(self.pool.index, parts, similarity.shape[1])
            return lambda some, k: [some[n] for n in coverage(similarity[some], weights, k)]
        if how == "keyword_coverage":
            shared, rarity = shared_terms(text, texts)
            return lambda some, k: [some[n] for n in coverage(shared[some], rarity, k)]
        vectors = self.pool.index.vectors([hit.chunk for hit in hits])
        relevance = min_max_normalize([hit.score for hit in hits])
        if how == "mmr":
            balance = 1 - self.options.diversity
            return lambda some, k: [
                some[n] for n, _ in maximal_marginal_relevance(relevance[some], vectors[some], k, balance)
            ]
        return lambda some, k: [some[n] for n in determinantal(0.05 + relevance[some], vectors[some], k)]
