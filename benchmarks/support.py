"""Does a source support a sentence? The composed verifier beside the word overlap that it replaces.

    python benchmarks/support.py                 report on the test halves and on the pairs written by hand
    python benchmarks/support.py --fit FILE      fit the weights on the training halves and write them to FILE first

Documents are split by name; training never sees a sentence of the test half, nor the pairs written by hand.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from benchmarks import support_data as data
from benchmarks.common import versions
from benchmarks.support_data import KINDS, TURNS, Pair
from ragkit.answering.support import ComposedVerifier
from ragkit.answering.support.alignment import WordSimilarity
from ragkit.answering.support.features import FEATURES, compare
from ragkit.embedding import open_embedder
from ragkit.retrieval.terms import content_terms, numbers

FALSE_CITED = 0.05


def by_hand() -> list[Pair]:
    rows = (Path(__file__).parent / "data" / "support_pairs.jsonl").read_text("utf-8").splitlines()
    return [Pair(*(row[name] for name in ("claim", "evidence", "label", "kind"))) for row in map(json.loads, rows)]


def training() -> list[Pair]:
    """Wrong answers to questions are left out: no feature tells them apart, since their words are in the evidence."""
    right = [pair for pair in data.statements(True) if pair.label == "entailed"]
    return [*data.planted(True, 90, 150), *right, *data.beyond(True, 120)]


def test_planted() -> list[Pair]:
    pairs = data.planted(False, 90, 130)
    rng = np.random.default_rng(3)
    chosen: list[Pair] = []
    for label in ("contradicted", "entailed"):
        rows = [pair for pair in pairs if pair.label == label]
        chosen += [rows[at] for at in sorted(rng.permutation(len(rows))[:500])]
    return chosen


def fit(pairs: Sequence[Pair], similarity: WordSimilarity) -> dict[str, object]:
    rows = np.array([compare(pair.claim, pair.evidence, similarity).values for pair in pairs])
    inputs = np.hstack([rows, np.ones((len(rows), 1))])
    labels = np.array([pair.label for pair in pairs])
    kinds = np.array([pair.kind for pair in pairs])
    record: dict[str, object] = {}
    for name in ("entailed", "contradicted"):
        target = (labels == name).astype(float)
        # Each kind weighs the same within its label, so that no easy kind crowds out the others.
        weights = np.array(
            [1.0 / np.sum((kinds == kind) & (labels == label)) for kind, label in zip(kinds, labels, strict=True)]
        )
        weights[target == 1] /= weights[target == 1].sum()
        weights[target == 0] /= weights[target == 0].sum()
        limits = [(None, None)] * inputs.shape[1]
        if name == "entailed":
            # A mismatch never speaks for support, whatever the sample says.
            limits = [(0.0, 8.0) if feature == "verbatim" else (-8.0, 0.0) for feature in FEATURES] + [(None, None)]
        found = minimize(_loss, np.zeros(inputs.shape[1]), (inputs, target, weights), jac=True, bounds=limits)
        if name == "entailed":
            # Of these two the labels are certain.
            found.x[FEATURES.index("verbatim")] = max(found.x[FEATURES.index("verbatim")], 4.0)
            found.x[FEATURES.index("fragment")] = min(found.x[FEATURES.index("fragment")], -8.0)
            scores = 1 / (1 + np.exp(-inputs @ found.x))
            false = [scores[(kinds == kind) & (target == 0)] for kind in set(kinds[target == 0])]
            # Never above what a claim without any mismatch gets.
            grid = np.arange(0.2, 1 / (1 + np.exp(-found.x[-1])) - 0.02, 0.01)
            shares = [np.mean([np.mean(part >= threshold) for part in false]) for threshold in grid]
            fitting = [threshold for threshold, share in zip(grid, shares, strict=True) if share <= FALSE_CITED]
            record["threshold"] = round(float(fitting[0] if fitting else grid[-1]), 2)
        record[name] = {
            feature: round(float(weight), 4) for feature, weight in zip((*FEATURES, "intercept"), found.x, strict=True)
        }
    return record


def _loss(w: np.ndarray, inputs: np.ndarray, target: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    logits = inputs @ w
    loss = float(np.sum(weights * (np.logaddexp(0, logits) - target * logits)) + 0.0005 * np.sum(w[:-1] ** 2))
    gradient = inputs.T @ (weights * (1 / (1 + np.exp(-logits)) - target))
    gradient[:-1] += 0.001 * w[:-1]
    return loss, gradient


def overlap(pairs: Sequence[Pair], embedder) -> list[tuple[float, bool]]:
    """The rule before: .6 of the terms and all numbers, or a cosine of .75 with half of the terms."""
    found = []
    for pair in pairs:
        wanted = set(content_terms(pair.claim))
        share = len(wanted & set(content_terms(pair.evidence))) / len(wanted) if wanted else 0.0
        if not numbers(pair.claim) <= numbers(pair.evidence):
            found.append((0.0, False))
            continue
        cited = share >= 0.6
        if not cited and share >= 0.5:
            vectors = embedder.embed([pair.claim, pair.evidence], "query")
            cited = float(vectors[0] @ vectors[1]) >= 0.75
        found.append((share, cited))
    return found


def report(title: str, pairs: Sequence[Pair], verdicts: Sequence[tuple[float, bool]], kinds: bool) -> None:
    true = np.array([pair.label == "entailed" for pair in pairs])
    scores = np.array([score for score, _ in verdicts])
    cited = np.array([said for _, said in verdicts])
    print(
        f"| {title} | {roc_auc_score(true, scores):.3f} | {np.mean(cited[~true]):.1%} | {np.mean(~cited[true]):.1%} |"
    )
    if kinds:
        for label in ("contradicted", "not_stated", "entailed"):
            named = list(dict.fromkeys(pair.kind for pair in pairs if pair.label == label))
            for kind in [k for k in (*KINDS, *TURNS) if k in named] + [k for k in named if k not in (*KINDS, *TURNS)]:
                at = np.array([pair.kind == kind and pair.label == label for pair in pairs])
                print(f"|   {label} {kind} ({at.sum()}) | | {np.mean(cited[at]):.0%} cited | |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", type=Path, help="File to write the fitted weights to")
    parser.add_argument("--errors", action="store_true", help="List the training pairs that are judged wrongly")
    arguments = parser.parse_args()
    embedder = open_embedder()
    if arguments.fit:
        arguments.fit.write_text(json.dumps(fit(training(), WordSimilarity(embedder)), indent=1) + "\n", "utf-8")
    verifier = ComposedVerifier(embedder, arguments.fit)
    print(f"{embedder.model_id}; {versions('onnxruntime', 'scikit-learn')}")
    if arguments.errors:
        pairs = training()
        for pair, support in zip(pairs, verifier.verify([(p.claim, p.evidence) for p in pairs]), strict=True):
            if support.supported != (pair.label == "entailed"):
                print(pair.label, pair.kind, f"{support.entailed:.2f}", support.reasons)
                print(f"  {pair.claim}\n  {pair.evidence}")
    print("| set, rule | AUROC | false ones cited | true ones not cited |\n|---|---|---|---|")
    for name, pairs in (("planted", test_planted()), ("questions", data.statements(False)), ("by hand", by_hand())):
        report(f"{name} ({len(pairs)}), word overlap", pairs, overlap(pairs, embedder), kinds=False)
        started = time.perf_counter()
        found = verifier.verify([(pair.claim, pair.evidence) for pair in pairs])
        seconds = time.perf_counter() - started
        report(f"{name} ({len(pairs)}), composed", pairs, [(s.entailed, s.supported) for s in found], kinds=True)
        wrong = [s.is_contradicted for s, p in zip(found, pairs, strict=True) if p.label == "contradicted"]
        print(
            f"|   contradictions told as such | {np.mean(wrong):.0%} | {1e3 * seconds / len(pairs):.1f} ms a pair | |"
        )


if __name__ == "__main__":
    main()
