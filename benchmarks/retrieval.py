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
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import Question, versions, xquad
from ragkit import Index, Retriever
from ragkit.evaluation.metrics import retrieval_scores
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
        with tempfile.TemporaryDirectory() as folder, Index.create(Path(folder) / "index") as index:
            index.add(*documents)
            for name, options in WAYS.items():
                print(row(name, Retriever(index, options), questions), flush=True)


def row(name: str, retriever: Retriever, questions: list[Question]) -> str:
    """Return one row of the table."""
    retriever.search(questions[0].text)
    started = time.perf_counter()
    found = [retriever.search(question.text) for question in questions]
    milliseconds = 1000 * (time.perf_counter() - started) / len(questions)
    scored = []
    for question, hits in zip(questions, found, strict=True):
        order = list(dict.fromkeys(hit.chunk.document_id for hit in hits))
        scored.append(retrieval_scores(order[:10], {question.document: 1}))
    halves = [[s for s, q in zip(scored, questions, strict=True) if q.article % 2 == odd] for odd in (0, 1)]
    gains = " | ".join(f"{fmean(s['ndcg@10'] for s in part):.4f}" for part in (scored, *halves))
    rest = " | ".join(f"{fmean(s[m] for s in scored):.4f}" for m in ("recall@1", "recall@5", "recall@10", "mrr"))
    return f"| {name} | {gains} | {rest} | {milliseconds:.1f} |"


if __name__ == "__main__":
    main()
