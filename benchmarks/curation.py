"""Curation: classifiers on 250 of 2,000 labelled rows, chosen by ``curate``, at random, and by length.

    python benchmarks/curation.py [--rows 2000] [--chosen 250] [--limit 3080] [--seeds 3]

Banking77: rows are drawn from its training split as they are, and with a long tail (the number of rows per intent
falls as 1 / rank), as in pools that nobody has balanced. ``curate`` sees the vectors of the texts, and no labels. Each
choice trains logistic regression (C=10) on the frozen embedder's vectors; accuracy is on the test split. The difference
to random choices is over the test queries, with a 95 % bootstrap interval. ``--seeds`` is the number of pools and of
random choices of each.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import DATA, versions
from ragkit.datagen.curate import curate
from ragkit.embedding import open_embedder
from ragkit.examples import read_examples
from ragkit.records import Example

Bools = NDArray[np.bool_]


def pool(train: Sequence[Example], size: int, *, tail: bool, seed: int) -> list[int]:
    """Return the indices of the rows to choose from."""
    draw = random.Random(seed)
    order = draw.sample(range(len(train)), len(train))
    if not tail:
        return order[:size]
    by_label: dict[str, list[int]] = defaultdict(list)
    for number in order:
        by_label[train[number].output].append(number)
    labels = draw.sample(sorted(by_label), len(by_label))
    share = size / sum(1 / rank for rank in range(1, len(labels) + 1))
    taken = [by_label[label][: max(1, round(share / rank))] for rank, label in enumerate(labels, 1)]
    return [number for numbers in taken for number in numbers]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000, help="rows to choose from")
    parser.add_argument("--chosen", type=int, default=250, help="rows that are chosen")
    parser.add_argument("--limit", type=int, default=3080, help="test queries")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    folder = DATA / "banking77"
    if not folder.is_dir():
        sys.exit(f"skipped: {folder} is missing (Banking77, PolyAI-LDN/task-specific-datasets)")
    train = read_examples(folder / "train.csv", "text", "category")
    test = read_examples(folder / "test.csv", "text", "category")
    random.Random(0).shuffle(test)
    test = test[: given.limit]
    pools = {
        (name, seed): pool(train, given.rows, tail=tail, seed=seed)
        for name, tail in (("as it is", False), ("long tail", True))
        for seed in range(given.seeds)
    }
    embedder = open_embedder()
    used = sorted({number for numbers in pools.values() for number in numbers})
    vectors = dict(zip(used, embedder.embed([train[number].input for number in used], "query"), strict=True))
    queries = embedder.embed([example.input for example in test], "query")
    truth = np.array([example.output for example in test])

    def right(chosen: Sequence[int]) -> Bools:
        labels = [train[number].output for number in chosen]
        model = LogisticRegression(C=10, max_iter=500).fit(np.stack([vectors[number] for number in chosen]), labels)
        return np.asarray(model.predict(queries) == truth)

    print(f"{versions('ragkit', 'scikit-learn', 'onnxruntime')}\n{given.chosen} rows, {len(test)} test queries\n")
    print("| pool | rows | choice | accuracy | minus random (95 % interval) | intents |\n|---|---|---|---|---|---|")
    for name in ("as it is", "long tail"):
        found: dict[str, list[Bools]] = defaultdict(list)
        intents: dict[str, list[int]] = defaultdict(list)
        for seed in range(given.seeds):
            numbers = pools[name, seed]
            lengths = [len(train[number].input.split()) for number in numbers]
            curation = curate(np.stack([vectors[number] for number in numbers]), lengths, given.chosen)
            longest = sorted(range(len(numbers)), key=lambda one: -lengths[one])[: given.chosen]
            choices = [("curated", list(curation.chosen)), ("longest", longest)]
            for run in range(given.seeds):
                drawn = random.Random(f"{seed}/{run}").sample(range(len(numbers)), given.chosen)
                choices.append(("random", drawn))
            for choice, places in choices:
                rows = [numbers[place] for place in places]
                found[choice].append(right(rows))
                intents[choice].append(len({train[number].output for number in rows}))
        # Of each query, the share of runs that are right: pools and choices are averaged before queries are drawn.
        shares = {choice: np.mean(runs, axis=0) for choice, runs in found.items()}
        drawn = np.random.default_rng(0).integers(0, len(test), (2000, len(test)))
        sizes = {len(pools[name, seed]) for seed in range(given.seeds)}
        for choice in ("random", "longest", "curated"):
            apart = shares[choice] - shares["random"]
            low, high = np.percentile(apart[drawn].mean(axis=1), [2.5, 97.5])
            gain = "" if choice == "random" else f"{apart.mean():+.3f} ({low:+.3f} to {high:+.3f})"
            print(
                f"| {name} | {min(sizes):,} | {choice} | {shares[choice].mean():.3f} | {gain} "
                f"| {np.mean(intents[choice]):.0f} |"
            )


if __name__ == "__main__":
    main()
