"""Questions from documents: verified rows a minute, beside a plain prompt and other generators with the same model.

    python benchmarks/datagen_questions.py [--model qwen2.5-coder-0.5b] [--number 100] [--limit 240]
    python benchmarks/datagen_questions.py --peers /path/to/other/python

The passages are XQuAD-en's paragraphs, without their questions. The plain prompt asks for a question and its answer as
JSON, one pair per passage, held to the schema. ``--peers`` runs synthetic-data-kit and LlamaIndex's generator with the
Python of another environment (pip install synthetic-data-kit==0.0.5 llama-index-core llama-index-llms-openai-like),
against the same model behind a local endpoint. A row counts as verified if its answer occurs in its passage and all
gates keep it; all rows pass the same gates. The gates' time counts for ragkit, and not for the others.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import versions, xquad
from benchmarks.datagen_peers import peer_pairs
from ragkit import Document, Index
from ragkit.datagen import DataRow, Ledger, QuestionOptions, TextSpan, generate_questions, verify_rows
from ragkit.datagen.gates import DuplicatesGate, apply, standard_gates
from ragkit.errors import ModelError
from ragkit.models import ChatModel, GenerationOptions, complete, open_model
from ragkit.records import Message

SCHEMA = {
    "type": "object",
    "properties": {
        "question": {"type": "string", "maxLength": 200},
        "answer": {"type": "string", "maxLength": 100},
    },
    "required": ["question", "answer"],
    "additionalProperties": False,
}
PLAIN = "Text: {text}\n\nWrite one question that the text answers, and its short answer, as JSON."


def plain_pairs(model: ChatModel, documents: Sequence[Document]) -> Iterator[tuple[Document, str, str]]:
    """Yield the pairs of the plain prompt."""
    for document in documents:
        prompt = [Message("user", PLAIN.format(text=document.text))]
        try:
            reply = json.loads(complete(model, prompt, GenerationOptions(160, json_schema=SCHEMA)).text)
        except ModelError:
            continue
        yield document, reply["question"], reply["answer"]


def row_of(document: Document, question: str, answer: str) -> DataRow:
    """Return a pair as a row; without an answer span if the answer is not in the document."""
    start = document.text.find(answer) if answer.strip() else -1
    span = None if start < 0 else TextSpan.of(document, start, start + len(answer))
    passage = TextSpan.of(document, 0, len(document.text))
    return DataRow("qa", (Message("user", question or "?"),), answer, span, (passage,))


def line(name: str, index: Index, model: ChatModel, rows: Sequence[DataRow], seconds: float, decided: bool) -> str:
    """Return a line of the table."""
    exact = [row for row in rows if row.answer_span is not None]
    report = verify_rows(exact, lambda span: index.document(span.document_id))
    assert report.exact, report.faults[:3]
    bare = [replace(row, decisions=(), scores={}) for row in rows]
    repeated = sum(not row.kept for row in apply([DuplicatesGate(index.embedder)], bare))
    kept = exact if decided else [row for row in apply(standard_gates(index, model), exact) if row.kept]
    a_minute = 60 * len(kept) / seconds if seconds else 0.0
    share = len(exact) / max(1, len(rows))
    return f"| {name} | {len(rows)} | {share:.0%} | {repeated} | {len(kept)} | {seconds:.0f} | {a_minute:.2f} |"


def measure(given: argparse.Namespace) -> None:
    """Print the table."""
    documents = xquad()[0][: given.limit]
    model = open_model(given.model, threads=given.threads)
    print(f"{versions('ragkit', 'llama-cpp-python')}\n{given.model}, {len(documents)} passages\n")
    print(
        "| | rows | answer in the passage | duplicates | verified | seconds | verified a minute |\n" + "|---" * 7 + "|"
    )
    with tempfile.TemporaryDirectory() as folder, Index.create(Path(folder) / "xquad") as index:
        index.add_documents(documents)
        with Ledger(Path(folder) / "ledger") as ledger:
            report = generate_questions(index, model, ledger, QuestionOptions(number=given.number))
        print(line("ragkit", index, model, report.rows, report.seconds, True), flush=True)
        started = time.monotonic()
        pairs = [row_of(*pair) for pair in plain_pairs(model, documents[: given.number])]
        print(line("plain prompt, JSON", index, model, pairs, time.monotonic() - started, False), flush=True)
        for name, made, seconds in peer_pairs(given.peers, model, documents[: given.number]) if given.peers else ():
            peer_rows = [row_of(*pair) for pair in made]
            print(line(name, index, model, peer_rows, seconds, False), flush=True)
        print(f"\nragkit: {report.tried} answers tried, rejected by {report.rejected_by}. {report.shortfall}")
        for row in report.rows[:10]:
            print(f"  {row.question} -> {row.answer}")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--number", type=int, default=100, help="rows of ragkit, and passages of the others")
    parser.add_argument("--limit", type=int, default=240, help="passages")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--peers", help="Python of an environment with the other generators")
    given = parser.parse_args()
    measure(given)


if __name__ == "__main__":
    main()
