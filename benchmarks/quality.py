"""The quality filter: bad text that was made from good text, of articles that it was not fitted on.

Run: python benchmarks/quality.py [--limit N]

Good texts are XQuAD-en's paragraphs. The filter is fitted on the even articles and their planted bad text, and scores
the odd articles and theirs. "left out" is the AUROC of a kind of which the filter saw none. Beside it the mean
log-probability of a token by SmolLM2 (``--model``), as perplexity filters use it. It takes three minutes.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from sklearn.metrics import roc_auc_score

from benchmarks.common import versions, xquad
from ragkit.datagen.planted_text import KINDS, planted
from ragkit.datagen.quality import fit_quality
from ragkit.embedding import open_embedder


def auroc(good: np.ndarray, bad: np.ndarray) -> float:
    """Return the share of pairs in which the good text has the higher score."""
    labels = [True] * len(good) + [False] * len(bad)
    return float(roc_auc_score(labels, np.concatenate([good, bad])))


def main() -> None:
    """Print the AUROC by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=0, help="paragraphs of each half; 0 for all")
    parser.add_argument("--model", default="", help="local model whose log-probabilities are shown beside it")
    args = parser.parse_args()
    print(versions("scikit-learn", "onnxruntime"))
    documents, _ = xquad()
    limit = args.limit or len(documents)
    halves = [[d.text for d in documents if int(d.metadata["article"]) % 2 == odd][:limit] for odd in (0, 1)]
    rng = random.Random(0)
    embedder = open_embedder()
    test = [planted(text, rng) for text in halves[1]]
    own = fit_quality(halves[0], embedder)
    print(f"cross-validation: AUROC {own.card.auroc:.4f}, {own.card.kept:.3f} of the good kept at {own.threshold:.3f}")
    good = own.scores(halves[1], embedder)
    print(f"other articles: {(good >= own.threshold).mean():.3f} of the good kept")
    model = None
    if args.model:
        from ragkit.models import open_model
        from ragkit.records import Message

        model = open_model(args.model, threads=1)

        def likelihoods(texts: list[str]) -> np.ndarray:
            prompt = [Message("user", "Write a paragraph.")]
            return np.array([np.mean(model.score(prompt, [text[:1500]])[0]) for text in texts])

        good_lm = likelihoods(halves[1])
    print("| kind | AUROC | left out | bad kept |" + (f" {args.model} |" if model else ""))
    print("|---|---|---|---|" + ("---|" if model else ""))
    everything = []
    for kind in KINDS:
        texts = [one[kind] for one in test]
        scores = own.scores(texts, embedder)
        everything.append(scores)
        fitting = [planted(text, rng) for text in halves[0]]
        others = [made[other] for made in fitting for other in KINDS if other != kind]
        without = fit_quality(halves[0], embedder, others)
        left_out = auroc(without.scores(halves[1], embedder), without.scores(texts, embedder))
        line = f"| {kind} | {auroc(good, scores):.4f} | {left_out:.4f} | {(scores >= own.threshold).mean():.3f} |"
        print(line + (f" {auroc(good_lm, likelihoods(texts)):.4f} |" if model else ""), flush=True)
    print(f"| all | {auroc(good, np.concatenate(everything)):.4f} | | |")


if __name__ == "__main__":
    main()
