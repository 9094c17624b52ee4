"""A set of real questions, by kind: how many are refused, unsure, right and cited, beside a plain prompt.

Run: python benchmarks/questions.py FOLDER [--half b] [--model none --model smollm2] [--kinds KIND,KIND]

FOLDER holds ``docs/`` and ``questions.jsonl`` with the fields that ``ragkit eval`` reads. Thresholds and weights were
chosen on half ``a``; half ``b`` is what to report. The peer is a plain prompt with the top four passages and the same
model, over the same hits, in the same run.

found    every gold passage is among the hits (60 % of a gold quote's words stand in one hit)
refused  answered with "Not in the documents."
unsure   answered with the closest passages and what they lack
right    an accepted answer stands in the reply as whole words; of several required items, the share that does; an
         accepted yes or no is what the reply begins with; a question without an answer is refused. What an unsure
         answer says that it lacks is not part of the reply
cited    a citation shares half of its words with a gold quote
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import versions
from ragkit import Assistant, Index
from ragkit.models import open_model
from ragkit.models.base import ChatModel, GenerationOptions, complete
from ragkit.records import Hit, Message

VERDICT = re.compile(r"(?:yes|no|ja|nein|sí|oui|non)(?:,|$)", re.IGNORECASE)
PLAIN = (
    "Answer the question from the passages only, in one sentence. If the passages do not contain the answer, say: "
    "Not in the documents."
)


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, with decimals whole."""
    return re.findall(r"[^\W_]+(?:\.\d+)?", unicodedata.normalize("NFKC", text).casefold().replace(",", ""))


def holds(text: str, variant: str) -> bool:
    """Return whether a text holds another as whole words."""
    wanted = " ".join(words(variant))
    return bool(wanted) and f" {wanted} " in f" {' '.join(words(text))} "


def share(quote: str, text: str) -> float:
    """Return the share of a quote's words that stand in a text."""
    these, those = words(quote), set(words(text))
    return sum(word in those for word in these) / len(these) if these else 0.0


def right(question: dict[str, Any], text: str, refused: bool) -> float:
    """Return how right a reply is, 0 to 1."""
    if question.get("unanswerable"):
        return float(refused)
    if refused:
        return 0.0
    answers = question["answers"]
    if answers and isinstance(answers[0], list):
        return fmean(any(holds(text, variant) for variant in item) for item in answers)
    said = words(text)[:1]
    verdicts = [words(variant)[:1] for variant in answers if VERDICT.match(variant)]
    others = [variant for variant in answers if not VERDICT.match(variant)]
    return float(said in verdicts or any(holds(text, variant) for variant in others))


def found(question: dict[str, Any], hits: Iterable[str]) -> float | None:
    """Return whether the hits hold every gold quote, or one of those that support the answer as well."""
    gold, also = ([one["quote"] for one in question.get(name, [])] for name in ("sources", "also"))
    texts = list(hits)
    if not gold:
        return None
    held = all(any(share(quote, text) >= 0.6 for text in texts) for quote in gold)
    return float(held or any(share(quote, text) >= 0.6 for quote in also for text in texts))


def cited(question: dict[str, Any], quotes: Sequence[str]) -> float | None:
    """Return whether a citation is of a gold passage."""
    gold = [one["quote"] for name in ("sources", "also") for one in question.get(name, [])]
    if not question.get("sources"):
        return None
    return float(any(share(g, quote) >= 0.5 or share(quote, g) >= 0.5 for g in gold for quote in quotes))


def ask(assistant: Assistant, question: dict[str, Any]) -> dict[str, Any]:
    """Return what ragkit makes of a question."""
    history = [Message(turn["role"], turn["content"]) for turn in question.get("history", [])]
    started = time.perf_counter()
    answer = assistant.ask(question["question"], history=history)
    seconds = time.perf_counter() - started
    quotes = [citation.quote for citation in answer.citations]
    text = answer.reply if answer.mode != "quotes" else " ".join([answer.reply, *quotes])
    return {
        "found": found(question, [hit.chunk.text for hit in answer.trace.hits]),
        "refused": float(answer.abstained),
        "unsure": float(answer.unsure),
        "right": right(question, text, answer.abstained),
        "cited": cited(question, quotes),
        "confidence": answer.confidence,
        "seconds": seconds,
    }


def ask_plainly(model: ChatModel, hits: Sequence[Hit], question: dict[str, Any]) -> dict[str, Any]:
    """Return what a plain prompt with the top four passages makes of a question."""
    passages = "\n\n".join(hit.chunk.text for hit in hits[:4])
    history = [Message(turn["role"], turn["content"]) for turn in question.get("history", [])]
    asked = Message("user", f"{passages}\n\nQuestion: {question['question']}")
    started = time.perf_counter()
    reply = complete(model, [Message("system", PLAIN), *history, asked], GenerationOptions(128)).text
    refused = reply.strip().casefold().startswith("not in the documents")
    return {
        "found": None,
        "refused": float(refused),
        "unsure": 0.0,
        "right": right(question, reply, refused),
        "cited": None,
        "confidence": None,
        "seconds": time.perf_counter() - started,
    }


def interval(values: Sequence[float]) -> str:
    """Return a mean with the 95 % interval of a bootstrap over the questions."""
    draw = random.Random(0)
    means = sorted(fmean(draw.choices(values, k=len(values))) for _ in range(1000))
    return f"{fmean(values):.3f} ({means[25]:.2f} to {means[974]:.2f})"


def cell(rows: Sequence[dict[str, Any]], name: str) -> str:
    """Return a mean as a cell of a table."""
    values = [row[name] for row in rows if row[name] is not None]
    return f"{fmean(values):.2f}" if values else "–"


def table(rows: Sequence[dict[str, Any]]) -> None:
    """Print the figures by kind and for all."""
    print("| kind | n | found | refused | unsure | right | cited |\n|---|---|---|---|---|---|---|")
    kinds = defaultdict(list)
    for row in rows:
        kinds[row["kind"]].append(row)
    names = ("found", "refused", "unsure", "right", "cited")
    for kind, some in kinds.items():
        print(f"| {kind} | {len(some)} | {' | '.join(cell(some, name) for name in names)} |")
    for title, some in (
        ("answerable", [row for row in rows if not row["unanswerable"]]),
        ("unanswerable", [row for row in rows if row["unanswerable"]]),
    ):
        if some:
            cells = []
            for name in names:
                values = [row[name] for row in some if row[name] is not None]
                cells.append(interval(values) if values else "–")
            print(f"| **{title}** | {len(some)} | {' | '.join(cells)} |")
    seconds = [row["seconds"] for row in rows]
    print(f"\nseconds a question: median {median(seconds):.2f}, 95th percentile {quantiles(seconds, n=20)[-1]:.2f}")
    judged = [row for row in rows if row["confidence"] is not None and not row["refused"]]
    if judged:
        print(f"calibration of the confidence: {calibration(judged)}")


def calibration(rows: Sequence[dict[str, Any]]) -> str:
    """Return the expected calibration error in five bins, and the AUROC of right (at least half) against wrong."""
    bins = defaultdict(list)
    for row in rows:
        bins[min(4, int(row["confidence"] * 5))].append(row)
    error = sum(
        len(some) * abs(fmean(row["confidence"] for row in some) - fmean(row["right"] for row in some))
        for some in bins.values()
    ) / len(rows)
    good = [row["confidence"] for row in rows if row["right"] >= 0.5]
    bad = [row["confidence"] for row in rows if row["right"] < 0.5]
    pairs = [(one > other) + 0.5 * (one == other) for one in good for other in bad]
    return f"expected error {error:.3f}, AUROC {fmean(pairs) if pairs else float('nan'):.3f}"


def main() -> None:
    """Ask, and print a table for each model and its peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=("a", "b"))
    parser.add_argument("--model", action="append", help="may be repeated; none for no model")
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--kinds", default="", help="separated by commas")
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    lines = (given.folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line) for line in lines if line.strip()]
    if given.half:
        questions = [question for question in questions if question["half"] == given.half]
    if given.kinds:
        questions = [question for question in questions if question["kind"] in given.kinds.split(",")]
    print(versions("onnxruntime", "llama-cpp-python"))
    with tempfile.TemporaryDirectory() as folder, Index.create(Path(folder) / "index") as index:
        index.add(given.folder / "docs")
        for name in given.model or ["none"]:
            model = None if name == "none" else open_model(name, threads=given.threads)
            assistant = Assistant(index, model=model, mode=given.mode)
            rows = []
            for question in questions:
                about = {"kind": question["kind"], "unanswerable": bool(question.get("unanswerable"))}
                rows.append(about | ask(assistant, question))
            print(f"\n## {given.mode}, model {name}, {len(rows)} questions\n")
            table(rows)
            if model is None:
                continue
            plain = []
            for question in questions:
                about = {"kind": question["kind"], "unanswerable": bool(question.get("unanswerable"))}
                hits = assistant.retriever.search(question["question"], 4)
                plain.append(about | ask_plainly(model, hits, question))
            print(f"\n## a plain prompt with the top four passages, model {name}\n")
            table(plain)


if __name__ == "__main__":
    main()
