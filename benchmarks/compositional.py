"""A task made of parts: do the examples that are shown have, between them, every part of the input?

Run: python benchmarks/compositional.py [--quick]

Made for the purpose, and no model is asked. A request names an action, a thing, a person, a time and a place, such as
"please cancel the dinner with my sister tonight at home". A pool holds 300 requests; each part can be said in two ways
there. An input draws its parts anew: once in the same ways ("seen words"), once each in a third way that the pool does
not have ("other words"). Counted is the share of an input's parts that one of the k examples has: what a model that
composes its answer from the parts of examples can have read in them. Mean over three pools; the peers are the selectors
that look at each example by itself (chance, keywords, neighbours) and at differences only (MMR, DPP).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.recombined import versions
from ragkit.embedding import open_embedder
from ragkit.examples import DynamicSelector, ExamplePool, SelectorOptions
from ragkit.records import Example

# For each part: what it means, and three ways to say it.
ACTIONS = {
    "book": ("book", "reserve", "arrange"),
    "cancel": ("cancel", "call off", "drop"),
    "move": ("move", "postpone", "push back"),
    "share": ("share", "forward", "send on"),
    "find": ("find", "look up", "search for"),
    "confirm": ("confirm", "double-check", "verify"),
    "describe": ("describe", "summarise", "sum up"),
    "print": ("print", "get a paper copy of", "run off"),
}
THINGS = {
    "meeting": ("the meeting", "the team call", "the sync"),
    "flight": ("the flight", "the plane", "the air ticket"),
    "dinner": ("the dinner", "the evening meal", "supper"),
    "report": ("the report", "the write-up", "the paper"),
    "dentist": ("the dentist visit", "the tooth check-up", "my teeth appointment"),
    "lesson": ("the piano lesson", "the music class", "my keyboard session"),
    "delivery": ("the delivery", "the parcel", "the shipment"),
    "gym": ("the gym class", "the workout", "my training session"),
}
PEOPLE = {
    "boss": ("with my boss", "with the manager", "with my supervisor"),
    "sister": ("with my sister", "with Anna, my sibling,", "with my sis"),
    "client": ("with the client", "with the customer", "with the buyer"),
    "neighbour": ("with the neighbour", "with the man next door", "with the people next door"),
    "kids": ("with the kids", "with my children", "with the little ones"),
    "doctor": ("with the doctor", "with my physician", "with the GP"),
}
TIMES = {
    "tomorrow": ("tomorrow", "the day after today", "on the next day"),
    "monday": ("on Monday", "at the start of the week", "the first day of the week"),
    "noon": ("at noon", "at midday", "at twelve"),
    "evening": ("in the evening", "tonight", "after sunset"),
    "weekend": ("at the weekend", "on Saturday", "on Sunday"),
    "month": ("next month", "in four weeks", "in the coming month"),
}
PLACES = {
    "office": ("at the office", "at work", "in the headquarters"),
    "home": ("at home", "in my flat", "at my place"),
    "park": ("in the park", "on the green", "in the gardens"),
    "cafe": ("at the cafe", "in the coffee shop", "at the espresso bar"),
    "station": ("at the station", "by the trains", "on the platform"),
    "online": ("online", "over video", "on the web"),
}
PARTS = (ACTIONS, THINGS, PEOPLE, TIMES, PLACES)
POLITE = ("please", "could you", "I would like you to", "hey, can you", "if it is no trouble,", "")
WAYS = {
    "random": SelectorOptions(by="random"),
    "Jaccard": SelectorOptions(by="jaccard"),
    "keywords (BM25)": SelectorOptions(by="keyword"),
    "neighbours": SelectorOptions(),
    "hybrid": SelectorOptions(by="hybrid"),
    "MMR": SelectorOptions(choice="mmr"),
    "DPP": SelectorOptions(choice="dpp"),
    "coverage, keywords": SelectorOptions(choice="keyword_coverage"),
    "coverage, token vectors": SelectorOptions(choice="coverage"),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one pool and 40 inputs")
    arguments = parser.parse_args()
    pools, inputs = (1, 40) if arguments.quick else (3, 150)
    embedder = open_embedder()
    columns = [(k, other) for other in (False, True) for k in (3, 5, 8)]
    shares = {name: np.zeros((pools, len(columns))) for name in WAYS}
    for seed in range(pools):
        random = np.random.default_rng(seed)
        rows = [request(random, other=False) for _ in range(300)]
        asked = {other: [request(random, other=other) for _ in range(inputs)] for other in (False, True)}
        with tempfile.TemporaryDirectory() as folder, ExamplePool.create(folder, embedder=embedder) as pool:
            pool.add(rows)
            for name, options in WAYS.items():
                selector = DynamicSelector(pool, options)
                for column, (k, other) in enumerate(columns):
                    shares[name][seed, column] = np.mean([share(selector, one, k) for one in asked[other]])
    print(f"{pools} pools of 300 requests, {inputs} inputs each; {versions()}\n")
    print("| selector | " + " | ".join(f"{'other' if other else 'seen'} words, k = {k}" for k, other in columns) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for name, found in shares.items():
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in found.mean(axis=0)) + " |")


def request(random: np.random.Generator, *, other: bool) -> Example:
    """Return a request with the meanings of its parts as output."""
    meant = [str(random.choice(list(part))) for part in PARTS]
    said = [part[name][2 if other else random.integers(2)] for part, name in zip(PARTS, meant, strict=True)]
    return Example(" ".join([str(random.choice(POLITE)), *said]).strip(), " ".join(meant))


def share(selector: DynamicSelector, asked: Example, k: int) -> float:
    """Return the share of an input's parts that one of the examples chosen for it has."""
    shown: Sequence[Example] = [shot.example for shot in selector.select(asked.input, k)]
    places = list(zip(*(one.output.split() for one in shown), strict=True))
    return float(np.mean([name in places[place] for place, name in enumerate(asked.output.split())]))


if __name__ == "__main__":
    main()
