"""Questions that need two passages: how often both are among the hits, by one query and by following names.

Run: python benchmarks/multihop.py FILE [--k 5] [--half b]

FILE is a JSON list of HotpotQA questions with ``question``, ``title_a``, ``para_a``, ``title_b``, ``para_b`` and
``distractors`` (title, sentences, ...). All paragraphs are pooled in one index, each as a document. The method was
chosen on half ``a`` (by a shuffle with a fixed seed); half ``b`` is what to report.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import versions
from ragkit import Document, Index
from ragkit.records import Hit, document_id
from ragkit.retrieval import Retriever, retrieve_linked


def documents(rows: Sequence[dict[str, Any]]) -> Iterable[Document]:
    """Yield each paragraph of the questions once."""
    found: dict[str, str] = {}
    for row in rows:
        found.setdefault(row["title_a"], "".join(row["para_a"]))
        found.setdefault(row["title_b"], "".join(row["para_b"]))
        for title, sentences, *_ in row["distractors"]:
            found.setdefault(title, "".join(sentences))
    for title, text in found.items():
        key = document_id(title)
        yield Document(key, title, title, text, title, key, "text/plain")


def main() -> None:
    """Print the share of questions with both passages among the hits, and the paired difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--half", choices=("a", "b", "both"), default="both")
    arguments = parser.parse_args()
    rows = json.loads(arguments.file.read_text(encoding="utf-8"))
    order = list(range(len(rows)))
    random.Random(5).shuffle(order)
    middle = len(order) // 2
    halves = {"a": order[:middle], "b": order[middle:]}
    print(versions("onnxruntime"))
    with tempfile.TemporaryDirectory() as name, Index.create(Path(name) / "index") as index:
        index.add_documents(documents(rows))
        retriever = Retriever(index)
        ways: dict[str, Callable[[str], Sequence[Hit]]] = {
            "one query": lambda question: retriever.retrieve(question, arguments.k).hits,
            "names followed": lambda question: retrieve_linked(retriever, question, arguments.k).hits,
        }
        print(f"\n| half | n | way | both passages in the top {arguments.k} | median ms |\n|---|---|---|---|---|")
        for half, numbers in halves.items():
            if arguments.half not in (half, "both"):
                continue
            both: dict[str, list[int]] = {}
            for way, retrieve in ways.items():
                seconds = []
                for number in numbers:
                    row = rows[number]
                    started = time.perf_counter()
                    titles = {hit.document.title for hit in retrieve(row["question"])}
                    seconds.append(time.perf_counter() - started)
                    both.setdefault(way, []).append(int({row["title_a"], row["title_b"]} <= titles))
                share = np.mean(both[way])
                print(f"| {half} | {len(numbers)} | {way} | {share:.3f} | {1000 * median(seconds):.0f} |")
            gains = np.subtract(both["names followed"], both["one query"])
            draws = np.random.default_rng(0).choice(gains, (10_000, len(gains))).mean(axis=1)
            low, high = np.quantile(draws, (0.025, 0.975))
            print(f"| {half} | {len(numbers)} | difference | {gains.mean():+.3f} ({low:+.3f} to {high:+.3f}) | |")


if __name__ == "__main__":
    main()
