"""XQuAD-en: answers from retrieved passages, by each way and each model, beside a plain prompt with the same model.

Run: python benchmarks/answers.py [--questions N] [--models a,b] [--ways a,b] [--half dev|test|all] [--quick]

The plain prompt is "top-3 passages, answer briefly". Shots come from no article of XQuAD. The abstention columns ask
each question twice: of the whole index, and of the index without the article that answers it. Results are kept in
benchmarks/results, so that a run that was interrupted goes on where it stopped. Targets: extract with SmolLM2 at least
twice the plain prompt's token F1, and .40 with the 0.5B.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import Question, exact, f1, half, versions, xquad
from ragkit import Assistant, Index, Message
from ragkit.indexing import Field
from ragkit.models import ChatModel, GenerationOptions, complete, open_model

RESULTS = Path(__file__).parent / "results"
WAYS = ("plain", "extract", "chat", "quotes")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--models", default="smollm2,gemma3-270m,qwen2.5-coder-0.5b")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--half", choices=("dev", "test", "all"), default="test")
    parser.add_argument("--quick", action="store_true", help="20 questions")
    arguments = parser.parse_args()
    documents, questions = xquad()
    questions = half(questions, arguments.half)
    random.Random(0).shuffle(questions)
    questions = questions[: 20 if arguments.quick else arguments.questions]
    RESULTS.mkdir(exist_ok=True)
    print(versions("llama-cpp-python", "onnxruntime"))
    print(f"\n{len(questions)} questions of the {arguments.half} articles\n")
    print("| model | way | questions | F1 | exact | median s | abstained | abstained without the article |")
    print("|---|---|---|---|---|---|---|---|")
    ways = arguments.ways.split(",")
    with tempfile.TemporaryDirectory() as folder, Index.create(Path(folder) / "index") as index:
        index.add(*documents)
        if "quotes" in ways:
            print(row(index, "none", None, "quotes", questions), flush=True)
        for name in arguments.models.split(","):
            model = open_model(name)
            for way in ways:
                if way != "quotes":
                    print(row(index, name, model, way, questions), flush=True)


def row(index: Index, name: str, model: ChatModel | None, way: str, questions: list[Question]) -> str:
    """Return one row of the table, asking what has not been asked before."""
    file = RESULTS / f"answers-{name}-{way}.jsonl"
    known = {r["question"]: r for r in map(json.loads, file.read_text().splitlines())} if file.exists() else {}
    results = []
    with file.open("a") as kept:
        for question in questions:
            result = known.get(question.text)
            if result is None:
                result = ask(index, model, way, question)
                kept.write(json.dumps(result) + "\n")
                kept.flush()
            results.append(result)
    count = len(results)
    scores = [f1(r["text"], q.answers) if not r["abstained"] else 0.0 for r, q in zip(results, questions, strict=True)]
    same = sum(exact(r["text"], q.answers) for r, q in zip(results, questions, strict=True))
    seconds = statistics.median(r["seconds"] for r in results)
    told = ["–", "–"]
    if way != "plain":
        told = [f"{sum(r[key] for r in results) / count:.3f}" for key in ("abstained", "abstained_without")]
    columns = [name, way, str(count), f"{sum(scores) / count:.3f}", f"{same / count:.3f}", f"{seconds:.2f}", *told]
    return "| " + " | ".join(columns) + " |"


def ask(index: Index, model: ChatModel | None, way: str, question: Question) -> dict[str, Any]:
    """Ask one question, and for ragkit's ways once more without the article that answers it."""
    started = time.perf_counter()
    if way == "plain":
        assert model is not None
        hits = Assistant(index, model=None).retriever.search(question.text, k=3)
        passages = "\n\n".join(hit.chunk.text for hit in hits)
        prompt = f"{passages}\n\nAnswer the question briefly.\nQuestion: {question.text}"
        text = complete(model, [Message("user", prompt)], GenerationOptions(max_tokens=60)).text
        return {"question": question.text, "text": text, "seconds": time.perf_counter() - started, "abstained": False}
    assistant = Assistant(index, model=model, mode=way)  # type: ignore[arg-type]
    answer = assistant.ask(question.text)
    seconds = time.perf_counter() - started
    text = " ".join(citation.quote for citation in answer.citations) if way == "quotes" else answer.text
    # Whether the retrieved text supports an answer is decided before a model is asked, so quotes tell it for all ways.
    without = Assistant(index, model=None).ask(question.text, where=~(Field("article") == question.article))
    return {
        "question": question.text,
        "text": text,
        "seconds": seconds,
        "abstained": answer.abstained,
        "abstained_without": without.abstained,
    }


if __name__ == "__main__":
    main()
