"""Choosing 8 examples from 100,000 and from 1,000,000: time, memory, and LangChain's selectors in the same run.

Run: python benchmarks/selection.py [--quick] [--rows N [N ...]] [--queries N]

Inputs of the pool are the first half of one Banking77 training query and the second half of another; queries are
Banking77's test set. What is synthetic: the vector of an input is not computed but mixed, the mean of the vectors of
the two queries (each embedded for real) with noise of a third of its length; everything else is written to disk by the
pool's own way of writing. Every query is embedded for real, within the time shown. Token vectors, which ``coverage``
compares, are real: for pools up to 100,000 computed beforehand for all (the line under the table says how long that
took), for larger ones for the candidates of the queries asked, in a first pass that is not timed.

Each selector runs in a process of its own, for which "memory" is the highest resident size, embedder and interpreter
included; "first" is its first selection, with opening the pool and reading or making its index. "add 1,000" is the
time to add 1,000 new examples to the pool, embedded for real.

Peers, up to 100,000 examples, with the same embedder and vectors: langchain_core's SemanticSimilarityExampleSelector
and MaxMarginalRelevanceExampleSelector over its InMemoryVectorStore (exact, vectors as lists of floats; a million would
take some 13 GB). The n-gram overlap selector that LangChain had was of langchain_community, which is at its end: in its
place what it did, sentence BLEU by nltk (smoothing method 1, auto_reweigh) with every example, over the first 1,000
examples only and scaled up; it needs ``pip install nltk``. LengthBasedExampleSelector does not look at the input.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import DATA
from benchmarks.recombined import NOISE, versions
from ragkit.embedding import open_embedder
from ragkit.examples import DynamicSelector, ExamplePool, SelectorOptions
from ragkit.examples.pool import document_of
from ragkit.indexing.opening import record_model
from ragkit.indexing.writing import Changes, commit, content_hash, settle, writing
from ragkit.records import Chunk, Example

K = 8
_COMMIT = 50_000
_BLEU_ROWS = 1000
OURS = {
    "neighbours": SelectorOptions(),
    "hybrid": SelectorOptions(by="hybrid"),
    "keywords (BM25)": SelectorOptions(by="keyword"),
    "MMR over 100": SelectorOptions(choice="mmr"),
    "DPP over 100": SelectorOptions(choice="dpp"),
    "coverage over 200, token vectors": SelectorOptions(choice="coverage", candidates=200),
    "coverage over 200, keywords": SelectorOptions(choice="keyword_coverage", candidates=200),
    "Jaccard": SelectorOptions(by="jaccard"),
    "n-grams": SelectorOptions(by="ngram"),
    "random": SelectorOptions(by="random"),
}
PEERS = ("LangChain SemanticSimilarity", "LangChain MMR", "n-gram BLEU (nltk)")


@dataclass(frozen=True)
class Row:
    """Of the table: milliseconds, seconds and megabytes."""

    name: str
    p50: float
    p95: float
    first: float
    memory: float


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10,000 examples and 40 queries")
    parser.add_argument("--rows", type=int, nargs="+", default=[])
    parser.add_argument("--queries", type=int, default=0)
    arguments = parser.parse_args()
    train, test = _banking("train"), [text for text, _ in _banking("test")]
    count = arguments.queries or (40 if arguments.quick else 300)
    queries = [test[n] for n in np.random.default_rng(0).permutation(len(test))[:count]]
    real = open_embedder().embed([text for text, _ in train], "document")
    print(f"{count} queries, k = {K}; {versions()}")
    for rows in arguments.rows or ([10_000] if arguments.quick else [100_000, 1_000_000]):
        with tempfile.TemporaryDirectory() as folder:
            _table(Path(folder) / "pool", train, real, queries, rows)


def _table(folder: Path, train: Sequence[tuple[str, str]], real: np.ndarray, queries: list[str], rows: int) -> None:
    started = time.perf_counter()
    made = fill(folder, train, real, rows)
    written = time.perf_counter() - started
    print(
        f"\n{made:,} examples\n\n| selector | p50 ms | p95 ms | first s | memory MB |\n|---|---|---|---|---|",
        flush=True,
    )
    print(_line(_alone(_embed, folder, queries)))
    prepared = 0.0
    for name, options in OURS.items():
        if options.choice == "coverage" and rows <= 100_000:
            cold = _alone(
                _select, "coverage over 200, token vectors not yet computed", folder, options, queries[:10], False
            )
            print(_line(cold), flush=True)
            prepared = _alone(_prepare, folder)
        warm = options.choice == "coverage" and rows > 100_000
        print(_line(_alone(_select, name, folder, options, queries, warm)), flush=True)
    if rows <= 100_000:
        for peer in PEERS:
            if "nltk" in peer and find_spec("nltk") is None:
                print(f"| {peer} | nltk is not installed | | | |")
            else:
                few = queries[: 5 if "nltk" in peer else 40]
                print(_line(_alone(_peer, peer, folder, few)), flush=True)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
    added = _alone(_add, folder, rows)
    tokens = f"; token vectors prepared in {prepared:.0f} s" if prepared else ""
    print(f"\nwritten in {written:.0f} s, {size:,.0f} MB on disk{tokens}; add 1,000: {added:.1f} s", flush=True)


def fill(folder: Path, train: Sequence[tuple[str, str]], real: np.ndarray, rows: int) -> int:
    """Make a pool of recombined examples and return how many it has; a pair that comes twice is one."""
    embedder = open_embedder()
    random = np.random.default_rng(1)
    with ExamplePool.create(folder, embedder=embedder) as pool:
        store, options = pool.index._store, pool.index.options
        with writing(store):
            record_model(store, embedder, None, options.chunking)
            seen: set[str] = set()
            for first in range(0, rows, _COMMIT):
                pairs = random.integers(0, len(train), (min(_COMMIT, rows - first), 2))
                vectors = real[pairs].mean(axis=1)
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
                noise = random.standard_normal(vectors.shape, dtype=np.float32)
                vectors += noise * np.float32(NOISE / vectors.shape[1] ** 0.5)
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
                changes = Changes()
                for number, (one, other) in enumerate(pairs.tolist()):
                    head, tail = train[one][0].split(), train[other][0].split()
                    text = " ".join(head[: (len(head) + 1) // 2] + tail[len(tail) // 2 :])
                    document = document_of(Example(text, train[one][1], {"row": first + number}))
                    if document.id in seen:
                        continue
                    seen.add(document.id)
                    chunk = Chunk(document.id, 0, 0, len(text), text, len(text) // 4, section_end=len(text))
                    changes.put[document.id] = (document, [chunk])
                    changes.vectors[content_hash(chunk)] = vectors[number]
                commit(store, changes, embedder.model_id, embedder.dimension, options.vectors)
            settle(store, embedder.model_id, embedder.dimension, options.vectors)
        return len(pool)


def _select(name: str, folder: Path, options: SelectorOptions, queries: Sequence[str], warm: bool) -> Row:
    started = time.perf_counter()
    with ExamplePool.open(folder, create=False) as pool:
        selector = DynamicSelector(pool, options)
        selector.select("what has to be read or made first", K)
        first = time.perf_counter() - started
        if warm:
            for query in queries:
                selector.select(query, K)
        return _timed(name, first, lambda query: selector.select(query, K), queries)


def _embed(folder: Path, queries: Sequence[str]) -> Row:
    started = time.perf_counter()
    with ExamplePool.open(folder, create=False) as pool:
        embedder = pool.index.embedder
        first = time.perf_counter() - started
        return _timed("(embedding the query alone)", first, lambda query: embedder.embed([query], "document"), queries)


def _prepare(folder: Path) -> float:
    started = time.perf_counter()
    with ExamplePool.open(folder, create=False) as pool:
        pool.prepare_tokens()
    return time.perf_counter() - started


def _add(folder: Path, rows: int) -> float:
    with ExamplePool.open(folder, create=False) as pool:
        pool.index.embedder.embed(["load the model"])
        started = time.perf_counter()
        report = pool.add(Example(f"what does it cost to send parcel {rows + n} abroad", "parcel") for n in range(1000))
        assert report.added == 1000
        return time.perf_counter() - started


def _peer(name: str, folder: Path, queries: Sequence[str]) -> Row:
    started = time.perf_counter()
    with ExamplePool.open(folder, create=False) as pool:
        chunks = list(pool.index.each_chunk())
        if "nltk" in name:
            choose = _bleu([chunk.text for chunk in chunks[:_BLEU_ROWS]], len(chunks) / _BLEU_ROWS)
        else:
            vectors = dict(zip((chunk.text for chunk in chunks), pool.index.vectors(chunks).tolist(), strict=True))
            choose = _langchain(name, vectors, pool)
        choose(queries[0])
        return _timed(name, time.perf_counter() - started, choose, queries)


def _langchain(name: str, vectors: dict[str, list[float]], pool: ExamplePool) -> Callable[[str], object]:
    from langchain_core.embeddings import Embeddings
    from langchain_core.example_selectors import MaxMarginalRelevanceExampleSelector, SemanticSimilarityExampleSelector
    from langchain_core.vectorstores import InMemoryVectorStore

    class Given(Embeddings):
        """The pool's vectors for its texts, and the pool's embedder for queries."""

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [vectors[text] for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return pool.index.embedder.embed([text], "query")[0].tolist()

    kind = MaxMarginalRelevanceExampleSelector if "MMR" in name else SemanticSimilarityExampleSelector
    examples = [{"input": text, "output": ""} for text in vectors]
    more = {"fetch_k": 100} if "MMR" in name else {}
    selector = kind.from_examples(examples, Given(), InMemoryVectorStore, k=K, input_keys=["input"], **more)
    return lambda query: selector.select_examples({"input": query})


def _bleu(texts: Sequence[str], times: float) -> Callable[[str], object]:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    smooth = SmoothingFunction().method1
    split = [text.split() for text in texts]

    def choose(query: str) -> object:
        started = time.perf_counter()
        asked = query.split()
        scores = [sentence_bleu([asked], one, smoothing_function=smooth, auto_reweigh=True) for one in split]
        best = np.argsort(scores)[::-1][:K]
        choose.rest = (times - 1) * (time.perf_counter() - started)
        return best

    choose.rest = 0.0
    return choose


def _timed(name: str, first: float, choose: Callable[[str], object], queries: Sequence[str]) -> Row:
    spent = []
    for query in queries:
        started = time.perf_counter()
        choose(query)
        spent.append(1000 * (time.perf_counter() - started + getattr(choose, "rest", 0.0)))
    p50, p95 = np.quantile(spent, [0.5, 0.95])
    # Not getrusage, whose highest resident size a process inherits from the one that started it.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return Row(name, float(p50), float(p95), first, int(status["VmHWM"].split()[0]) / 1000)


def _alone(function: Callable[..., Row | float], *arguments: object) -> Row | float:
    """Run a function in a process of its own, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def _line(row: Row) -> str:
    return f"| {row.name} | {row.p50:.1f} | {row.p95:.1f} | {row.first:.1f} | {row.memory:,.0f} |"


def _banking(part: str) -> list[tuple[str, str]]:
    path = DATA / "banking77" / f"{part}.csv"
    if not path.is_file():
        sys.exit(f"skipped: {path} is missing (PolyAI/banking77)")
    with path.open(newline="", encoding="utf-8") as file:
        return [(row[0], row[1]) for row in list(csv.reader(file))[1:]]


if __name__ == "__main__":
    main()
