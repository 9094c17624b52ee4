"""Chunking alone, against the tokenizer's own time on the same text.

Run: python benchmarks/chunking.py [--quick]

The peer is one call of ``tokenizers``' ``encode`` a document, which any token window needs at least. Both in one
thread, alternating; medians. Target: at most 1.5 times the tokenizer's time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import versions, xquad
from ragkit import Document
from ragkit.chunking import chunk_document
from ragkit.embedding import locate
from ragkit.embedding.tokenizer import FastTokenizer


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 runs")
    arguments = parser.parse_args()
    files = locate()
    tokenizer = FastTokenizer(files.folder / "tokenizer.json")
    paragraphs, _ = xquad()
    whole = "\n\n".join(paragraph.text for paragraph in paragraphs)
    articles: dict[object, list[str]] = {}
    for paragraph in paragraphs:
        articles.setdefault(paragraph.metadata["article"], []).append(paragraph.text)
    sets = {
        "240 paragraphs": [paragraph.text for paragraph in paragraphs],
        "48 articles": ["\n\n".join(texts) for texts in articles.values()],
        "one text of 2 MB": ["\n\n".join([whole] * (2_000_000 // len(whole) + 1))],
    }
    print(versions("tokenizers", "numpy"))
    print("\n| text | characters | chunks | tokenizer s | chunking s | ratio |\n|---|---|---|---|---|---|")
    for name, texts in sets.items():
        documents = [Document("d", "d", "d", text, "Title", "0", "text/plain") for text in texts]
        alone, whole_time, chunks = [], [], 0
        for _ in range(3 if arguments.quick else 9):
            started = time.perf_counter()
            for document in documents:
                tokenizer._tokenizer.encode(document.text, add_special_tokens=False)
            alone.append(time.perf_counter() - started)
            started = time.perf_counter()
            chunks = sum(len(chunk_document(document, tokenizer, files.window)) for document in documents)
            whole_time.append(time.perf_counter() - started)
        first, second = statistics.median(alone), statistics.median(whole_time)
        characters = sum(map(len, texts))
        print(f"| {name} | {characters:,} | {chunks} | {first:.3f} | {second:.3f} | {second / first:.2f} |", flush=True)


if __name__ == "__main__":
    main()
