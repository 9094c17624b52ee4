"""Hybrid search over 200,000 chunks, query embedding included, one thread of requests.

Run: python benchmarks/search.py [--quick] [--rows N]

Peer: the exact search over the same vectors, for the recall of the vector part. Chunks are recombined from real
sentences (see recombined.py); queries are XQuAD questions. Targets: p50 10 ms, p95 25 ms, recall@10 0.98.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.recombined import fill, picks, sentences, vectors, versions
from ragkit.embedding import open_embedder
from ragkit.indexing.index import Index
from ragkit.indexing.vectors import best
from ragkit.retrieval.retriever import RetrievalOptions, Retriever


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20,000 chunks and 100 queries")
    parser.add_argument("--rows", type=int, default=0)
    arguments = parser.parse_args()
    rows = arguments.rows or (20_000 if arguments.quick else 200_000)
    embedder = open_embedder()
    pool = sentences(embedder, arguments.quick)
    questions, asked = pool.questions, pool.question_vectors
    with tempfile.TemporaryDirectory() as folder:
        seconds = fill(Path(folder) / "index", embedder, pool, rows)
        with Index.create(Path(folder) / "index", embedder=embedder) as index:
            recall = _recall(index, pool, rows, asked[:200])
            print(
                f"\n{rows:,} chunks, {len(questions)} queries; {versions()}; "
                f"written in {seconds['write']:.0f} s, merged in {seconds['merge']:.0f} s\n"
            )
            print("| search | p50 ms | p95 ms | embed | dense | keyword | fuse + fetch |")
            print("|---|---|---|---|---|---|---|")
            for name, options, where in (
                ("hybrid", RetrievalOptions(), None),
                ("hybrid, filter that keeps 4 %", RetrievalOptions(), "year == 2010"),
                ("hybrid, filter that keeps 60 %", RetrievalOptions(), "year >= 2010"),
                ("dense", RetrievalOptions(mode="dense"), None),
                ("keyword", RetrievalOptions(mode="keyword"), None),
            ):
                print(_row(name, Retriever(index, options), questions, where), flush=True)
            print(f"\nrecall@10 of the vector part against exact search: {recall:.4f}")


def _row(name: str, retriever: Retriever, questions: list[str], where: str | None) -> str:
    for question in questions[:5]:
        retriever.retrieve(question, where=where)
    spent, stages = [], []
    for question in questions:
        started = time.perf_counter()
        found = retriever.retrieve(question, where=where)
        spent.append(1000 * (time.perf_counter() - started))
        stages.append(found.timings)
    p50, p95 = np.quantile(spent, [0.5, 0.95])

    def median(*stage: str) -> str:
        return f"{1000 * np.median([sum(timing.get(one, 0) for one in stage) for timing in stages]):.1f}"

    parts = " | ".join((median("embed"), median("dense"), median("keyword"), median("fuse", "fetch")))
    return f"| {name} | {p50:.1f} | {p95:.1f} | {parts} |"


def _recall(index: Index, pool, rows: int, asked: np.ndarray) -> float:
    """Return the share of the exact ten best that the index finds; keys count from 1 in the order of writing."""
    step = 50_000
    tops = [(np.zeros(0, np.int64), np.zeros(0, np.float32))] * len(asked)
    for first in range(0, rows, step):
        made = vectors(pool, picks(pool, min(step, rows - first), seed=first + 1), seed=first + 2)
        scores = made @ asked.T
        keys = np.arange(first + 1, first + len(made) + 1, dtype=np.int64)
        for number, (held, values) in enumerate(tops):
            tops[number] = best(np.concatenate([held, keys]), np.concatenate([values, scores[:, number]]), 10)
    found = [index.search_vectors(query, 10)[0] for query in asked]
    return float(np.mean([len(np.intersect1d(a, b[0])) / 10 for a, b in zip(found, tops, strict=True)]))


if __name__ == "__main__":
    main()
