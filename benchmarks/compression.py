"""Compressing the top 5 passages of XQuAD-en: whether the answer is kept, F1 of the span reader, and time.

Run: python benchmarks/compression.py [--limit N] [--ratio .25] [--half dev|test] [--model smollm2] [--no-reader]

Side by side, with the same budget of tokens: the full passages, the passages cut at the end, the best sentences by the
ranking that ragkit has anyway, perplexity pruning as in LLMLingua (Jiang et al., arXiv:2310.05736; of the words, those
that the model expects least), and ragkit's records with their fallbacks. "Answer kept" is the share of the questions
whose answer is, word for word, in the context; only questions whose answer is in the full passages count. All contexts
are read by the same reader, constrained to spans of the text that is shown. Constants were chosen on ``dev``, the even
articles. Replies of the reader are stored in benchmarks/results, so that an interrupted run resumes.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import Question, f1, half, versions, xquad
from ragkit import Assistant, Index, Message
from ragkit.answering import AnswerOptions, ExtractOptions
from ragkit.answering.compression import compress
from ragkit.answering.compression.context import MIN_CONFIDENCE
from ragkit.answering.extract import extract, span_sentences
from ragkit.answering.readers import Evidence
from ragkit.answering.sentences import Sentence
from ragkit.models import open_model
from ragkit.models.llama_cpp import LlamaCppModel
from ragkit.prompting import Templates
from ragkit.retrieval import RetrievalOptions

RESULTS = Path(__file__).parent / "results"
Piece = tuple[Sentence, str]
"""A sentence of the passages, and what a context shows of it."""


@dataclass
class Made:
    """A context that a method made, as pieces in the order of the passages."""

    pieces: list[Piece]
    tokens: int
    seconds: float
    level: str = ""

    @property
    def text(self) -> str:
        """The context as the reader sees it."""
        return "\n".join(shown for _, shown in self.pieces)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--ratio", type=float, default=0.25)
    parser.add_argument("--half", choices=("dev", "test", "all"), default="test")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--no-reader", action="store_true", help="no model: neither F1 nor perplexity pruning")
    arguments = parser.parse_args()
    documents, questions = xquad()
    questions = half(questions, arguments.half)
    random.Random(0).shuffle(questions)
    questions = questions[: arguments.limit]
    model = None if arguments.no_reader else open_model(arguments.model, threads=arguments.threads)
    assert model is None or isinstance(model, LlamaCppModel)
    RESULTS.mkdir(exist_ok=True)
    print(versions("llama-cpp-python", "onnxruntime"))
    print(f"\n{len(questions)} questions of the {arguments.half} articles, ratio {arguments.ratio}\n")
    rows: dict[str, list[tuple[Made, bool, float | None]]] = {}
    ranking, tokens, skipped = 0.0, 0, 0
    with tempfile.TemporaryDirectory() as folder, Index.create(Path(folder) / "index") as index:
        index.add(*documents)
        options = AnswerOptions(retrieval=RetrievalOptions(k=5), extract=ExtractOptions(passages=1))
        assistant = Assistant(index, model=None, options=options)
        for question in questions:
            started = time.perf_counter()
            evidence = assistant.evidence(question.text)
            ranking += time.perf_counter() - started
            for name, made in contexts(evidence, arguments.ratio, model).items():
                if name == "full":
                    tokens += made.tokens
                    if not holds(made, question):
                        skipped += 1
                        break
                score = None
                if model is not None and name != "records without fallback":
                    score = read(evidence, made, model, question, name, arguments)
                rows.setdefault(name, []).append((made, holds(made, question), score))
    if skipped:
        print(f"{skipped} questions left out: no retrieved passage has the answer\n")
    print("| context | questions | tokens kept | answer kept | F1 | ms per 1,000 tokens |")
    print("|---|---|---|---|---|---|")
    all_tokens = sum(made.tokens for made, _, _ in rows["full"])
    for name, results in rows.items():
        share = sum(made.tokens for made, _, _ in results) / all_tokens
        kept = statistics.mean(held for _, held, _ in results)
        scores = [score for _, _, score in results if score is not None]
        mean = f"{statistics.mean(scores):.3f}" if scores else "–"
        spent = 1e6 * sum(made.seconds for made, _, _ in results) / all_tokens
        print(f"| {name} | {len(results)} | {share:.3f} | {kept:.3f} | {mean} | {spent:.0f} |")
    print(f"\nretrieval and ranking, which answering needs anyway: {1e6 * ranking / tokens:.0f} ms per 1,000 tokens")
    pairs = zip(rows["records"], rows["full"], strict=True)
    compressed = [made.tokens / whole.tokens for (made, *_), (whole, *_) in pairs if made.level != "full"]
    print(f"records, where the context was compressed: {statistics.mean(compressed):.3f} of the tokens")
    levels = [made.level for made, _, _ in rows["records"]]
    print("levels: " + ", ".join(f"{level} {levels.count(level)}" for level in ("records", "sentences", "full")))


def contexts(evidence: Evidence, ratio: float, model: LlamaCppModel | None) -> dict[str, Made]:
    """Return the contexts of one question by method."""
    count = evidence.index.embedder.tokenizer.count
    rank = {(one.unit.source.number, one.unit.start): number for number, one in enumerate(evidence.ranked)}
    units = [unit for source in evidence.sources for unit in evidence.units(source) if unit.kind != "heading"]
    full = [(Sentence(unit.text, unit.start, unit.end, unit.source), unit.text) for unit in units]
    lengths = [count(text) for _, text in full]
    budget = int(ratio * sum(lengths))

    def best(places: Sequence[int]) -> list[Piece]:
        """Return as many sentences as the budget allows, of those in the given order."""
        kept, used = [], 0
        for place in places:
            if used + lengths[place] <= budget:
                kept.append(place)
                used += lengths[place]
        return [full[place] for place in sorted(kept)]

    def cut() -> list[Piece]:
        kept, used = [], 0
        for (sentence, text), length in zip(full, lengths, strict=True):
            if used + length > budget:
                words = text.split()
                kept.append((sentence, " ".join(words[: int(len(words) * (budget - used) / length)])))
                break
            kept.append((sentence, text))
            used += length
        return [piece for piece in kept if piece[1]]

    def timed(make: Callable[[], list[Piece]]) -> Made:
        started = time.perf_counter()
        pieces = make()
        seconds = time.perf_counter() - started
        return Made(pieces, sum(count(shown) for _, shown in pieces), seconds)

    last = len(rank)
    by_rank = sorted(range(len(units)), key=lambda n: rank.get((units[n].source.number, units[n].start), last))
    made = {"full": timed(lambda: full), "cut at the end": timed(cut), "best sentences": timed(lambda: best(by_rank))}
    if model is not None:
        made["perplexity pruning"] = timed(lambda: pruned(full, ratio, model))
    for name, confidence in (("records without fallback", 0.0), ("records", MIN_CONFIDENCE)):
        started = time.perf_counter()
        compressed = compress(evidence, ratio, min_confidence=confidence)
        seconds = time.perf_counter() - started
        shown = [(one, " ".join(one.text.split())) for one in compressed.only_shown([sentence for sentence, _ in full])]
        made[name] = Made(shown, compressed.report.tokens, seconds, compressed.report.level)
    return made


def pruned(full: Sequence[Piece], ratio: float, model: LlamaCppModel) -> list[Piece]:
    """Return the sentences with only those words whose tokens are the least expected, up to the budget."""
    words = [(number, word) for number, (_, text) in enumerate(full) for word in text.split()]
    lengths = [model.count_text(f" {word}") for _, word in words]
    (scores,) = model.score([Message("user", "")], [" " + " ".join(word for _, word in words)])
    # A tokenizer may join the first blank with the prompt.
    at = len(scores) - sum(lengths)
    surprise = []
    for length in lengths:
        surprise.append(-sum(scores[max(0, at) : at + length]) / length)
        at += length
    budget, kept = ratio * sum(lengths), set()
    for place in sorted(range(len(words)), key=lambda one: -surprise[one]):
        if lengths[place] <= budget:
            budget -= lengths[place]
            kept.add(place)
    found = []
    for number, (sentence, _) in enumerate(full):
        shown = " ".join(word for place, (owner, word) in enumerate(words) if owner == number and place in kept)
        if shown:
            found.append((sentence, shown))
    return found


def holds(made: Made, question: Question) -> bool:
    """Return whether an answer stands word for word in the context."""
    text = " ".join(made.text.split())
    return any(" ".join(answer.split()) in text for answer in question.answers)


def read(
    evidence: Evidence, made: Made, model: LlamaCppModel, question: Question, name: str, arguments: argparse.Namespace
) -> float:
    """Return the F1 of the answer that the span reader finds in a context."""
    file = RESULTS / f"compression-{arguments.model}-{arguments.ratio}-{name.replace(' ', '-')}.jsonl"
    known = {r["question"]: r["text"] for r in map(json.loads, file.read_text().splitlines())} if file.exists() else {}
    if question.text not in known:
        scored = span_sentences(question.text, evidence.ranked, evidence.index.embedder)
        at: dict[int, int] = {}
        offset = 0
        for number, (_, shown) in enumerate(made.pieces):
            at[number] = offset
            offset += len(shown) + 1
        source = replace(evidence.sources[0], text=made.text, start=0, end=len(made.text))
        candidates = [
            Sentence(shown, at[number], at[number] + len(shown), source, one.score)
            for one in scored
            for number, (sentence, shown) in enumerate(made.pieces)
            if sentence.source.number == one.source.number and one.start <= sentence.start < one.end
        ]
        found = extract(question.text, candidates, [source], model, Templates.load(), ExtractOptions(passages=1))
        text = "" if found.span is None else source.text[found.span[1] : found.span[2]]
        known[question.text] = text
        with file.open("a") as kept:
            kept.write(json.dumps({"question": question.text, "text": text}) + "\n")
    return f1(known[question.text], question.answers)


if __name__ == "__main__":
    main()
