"""Prompt search: the prompt it began with against each method's best, on held-out Banking77 queries of ten intents.

    python benchmarks/prompt_search.py [--quick] [--calls 240] [--seeds 1] [--proposer qwen2.5-coder-0.5b]

Every method has the same budget of model calls (items scored and proposals), the same training examples and the same
dev split, and is measured once, on queries that no search saw. ``random`` searches shots; the others begin with no
shots and search the instruction. ``random, then gepa`` gives half of the budget to each. The model that answers also
writes the instructions, unless another is named. Beside them: the prompt as begun, and one random set of shots, which
is what a person gets who does not search.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
import time
from dataclasses import replace

from common import DATA, versions

from ragkit.models import open_model
from ragkit.prompt_search import ModelObjective, PromptCandidate, SearchOptions, SearchReport, search_prompts
from ragkit.prompting.shot_template import ShotTemplate
from ragkit.records import Example

INTENTS = [
    "activate_my_card",
    "atm_support",
    "card_arrival",
    "change_pin",
    "compromised_card",
    "exchange_rate",
    "exchange_charge",
    "lost_or_stolen_card",
    "passcode_forgotten",
    "pending_transfer",
]
LABELS = [intent.replace("_", " ") for intent in INTENTS]
START = PromptCandidate("Name the topic of the bank customer's query.")
METHODS = ("random", "ape", "opro", "gepa", "random, then gepa")


def banking(split: str, count: int, seed: int = 0, without: int = 0) -> list[Example]:
    """Return ``count`` queries of each intent, drawn by chance after leaving out the first ``without`` drawn."""
    path = DATA / "banking77" / f"{split}.csv"
    if not path.is_file():
        raise SystemExit(f"skipped: {path} is missing (Banking77, PolyAI)")
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["category"] in INTENTS]
    found = []
    for intent in INTENTS:
        own = sorted({row["text"].strip() for row in rows if row["category"] == intent})
        random.Random(seed).shuffle(own)
        found += [Example(text, intent.replace("_", " ")) for text in own[without : without + count]]
    random.Random(seed).shuffle(found)
    return found


def searched(method: str, judge, proposer, train, dev, options: SearchOptions) -> tuple[SearchReport, int]:
    """Return the report of a method (the last, where there are two) and the calls of all."""
    if method == "random, then gepa":
        half = replace(options, max_calls=options.max_calls // 2)
        first = search_prompts(judge, train, dev, method="random", options=half, start=START)
        report = search_prompts(judge, train, dev, method="gepa", proposer=proposer, options=half, start=first.best)
        return report, first.calls + report.calls
    report = search_prompts(judge, train, dev, method=method, proposer=proposer, options=options, start=START)
    return report, report.calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--calls", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--proposer", default="")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="print every report")
    given = parser.parse_args()
    calls, seeds = given.calls or (120 if given.quick else 240), given.seeds or 1
    per_intent = (2, 5) if given.quick else (3, 10)
    train, dev = banking("train", 10), banking("train", per_intent[0], without=10)
    held_out = banking("test", per_intent[1])
    seen = {example.input.casefold() for example in [*train, *dev]}
    assert not [example for example in held_out if example.input.casefold() in seen]
    template = ShotTemplate()
    model = open_model(given.model, threads=given.threads)
    proposer = open_model(given.proposer, threads=given.threads) if given.proposer else model
    judge = ModelObjective(model, template, labels=LABELS)

    def measured(candidate: PromptCandidate) -> float:
        return math.fsum(outcome.score for outcome in judge(candidate, held_out)) / len(held_out)

    rows: dict[str, list[tuple[float, float, int, float]]] = {}
    begun = math.fsum(outcome.score for outcome in judge(START, dev)) / len(dev)
    rows["the start: an instruction, no shots"] = [(begun, measured(START), len(dev), 0.0)]
    for seed in range(seeds):
        lot = random.Random(seed)
        unsearched = PromptCandidate(START.instruction, tuple(lot.sample(train, 10)))
        score = math.fsum(outcome.score for outcome in judge(unsearched, dev)) / len(dev)
        rows.setdefault("10 random shots", []).append((score, measured(unsearched), len(dev), 0.0))
        for method in METHODS:
            options = SearchOptions(max_calls=calls, seed=seed, shots=10, minibatch=10, max_tokens=60)
            began = time.perf_counter()
            report, spent = searched(method, judge, proposer, train, dev, options)
            seconds = time.perf_counter() - began
            rows.setdefault(method, []).append((report.dev_score, measured(report.best), spent, seconds))
            if given.verbose:
                print(f"\n### {method}, seed {seed}: held out {rows[method][-1][1]:.3f}\n\n```\n{report.table()}\n```")
    error = math.sqrt(0.25 / len(held_out))
    splits = f"{len(train)} training, {len(dev)} dev and {len(held_out)} held-out queries of {len(INTENTS)} intents"
    print(f"\n{model.name}, instructions by {proposer.name}; {splits}; {calls} calls, {seeds} seeds.")
    print(f"The standard error of a held-out figure is at most {error:.3f}.")
    print(f"{versions('ragkit', 'llama-cpp-python')}\n")
    print("| method | dev | held out | held out, each seed | calls | seconds |\n|---|---|---|---|---|---|")
    for name, found in rows.items():
        dev_score, test, spent, seconds = (sum(column) / len(found) for column in zip(*found, strict=True))
        each = " ".join(f"{row[1]:.3f}" for row in found)
        print(f"| {name} | {dev_score:.3f} | {test:.3f} | {each} | {spent:.0f} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
