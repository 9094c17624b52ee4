"""XQuAD-en, question to paragraph: what each way of searching finds, and how fast.

Run: python benchmarks/retrieval.py [--quick]

All rows go through the same Index; the peers are its vectors alone (what LangChain's and LlamaIndex's vector stores
give for this model), its BM25 alone, and plain reciprocal rank fusion of both. The fusion's weight was chosen on the
even articles (dev); the odd ones (test) are what counts. Targets: nDCG@10 .975, recall@5 .993.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from math import log2
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import Question, versions, xquad
from ragkit import Index, Retriever
from ragkit.retrieval import RetrievalOptions

WAYS = {
    "keyword (BM25)": RetrievalOptions(k=20, mode="keyword"),
    "dense": RetrievalOptions(k=20, mode="dense"),
    "plain RRF": RetrievalOptions(k=20, fusion="rrf"),
    "ragkit, default": RetrievalOptions(k=20),
    "ragkit, rerank='late'": RetrievalOptions(k=20, rerank="late"),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="every tenth question")
    arguments = parser.parse_args()
    print(versions("faiss-cpu", "tantivy", "onnxruntime"))
    for titles in (False, True):
        documents, questions = xquad(titles=titles)
        questions = questions[:: 10 if arguments.quick else 1]
        print(f"\n{len(documents)} paragraphs {'with' if titles else 'without'} title, {len(questions)} questions\n")
        print("| way | nDCG@10 | dev | test | recall@1 | recall@5 | recall@10 | MRR | ms a query |")
        print("|---|---|---|---|---|---|---|---|---|")
        with tempfile.TemporaryDirectory() as folder, Index.open(Path(folder) / "index") as index:
            index.add(*documents)
            for name, options in WAYS.items():
                print(row(name, Retriever(index, options), questions), flush=True)


def row(name: str, retriever: Retriever, questions: list[Question]) -> str:
    """Return one row of the table."""
    retriever.search(questions[0].text)
    started = time.perf_counter()
    found = [retriever.search(question.text) for question in questions]
    milliseconds = 1000 * (time.perf_counter() - started) / len(questions)
    ranks = []
    for question, hits in zip(questions, found, strict=True):
        order = list(dict.fromkeys(hit.chunk.document_id for hit in hits))
        ranks.append(order.index(question.document) if question.document in order else 999)
    dev = [rank for rank, question in zip(ranks, questions, strict=True) if question.article % 2 == 0]
    test = [rank for rank, question in zip(ranks, questions, strict=True) if question.article % 2 == 1]
    recalls = " | ".join(f"{sum(rank < k for rank in ranks) / len(ranks):.4f}" for k in (1, 5, 10))
    mrr = sum(1 / (rank + 1) for rank in ranks if rank < 10) / len(ranks)
    gains = " | ".join(f"{ndcg(part):.4f}" for part in (ranks, dev, test))
    return f"| {name} | {gains} | {recalls} | {mrr:.4f} | {milliseconds:.1f} |"


def ndcg(ranks: list[int]) -> float:
    """Return nDCG@10 for one relevant paragraph a question."""
    return sum(1 / log2(rank + 2) for rank in ranks if rank < 10) / len(ranks)


if __name__ == "__main__":
    main()
