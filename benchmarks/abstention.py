"""XQuAD-en: does the confidence tell questions that the index answers from those that it doesn't?

Run: python benchmarks/abstention.py [--quick]

Each question is asked twice: of the whole index, and of the index without the article that answers it. The weights are
fitted on the even articles and judged on the odd ones, as are the weights that ragkit ships; the peer is the plain way,
a threshold on the best cosine. Whether to abstain is decided before a model is asked, so no model is needed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import versions, xquad
from ragkit import Assistant, Index
from ragkit.answering.abstention import BIAS, THRESHOLD, WEIGHTS
from ragkit.indexing import Field


def main() -> None:
    """Print the table and the fitted weights."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="every tenth question")
    quick = arguments.parse_args().quick
    documents, questions = xquad()
    random.Random(0).shuffle(questions)
    rows: list[list[float]] = []
    answerable: list[bool] = []
    odd: list[bool] = []
    with tempfile.TemporaryDirectory() as folder, Index.create(folder) as index:
        index.add(*documents)
        assistant = Assistant(index, model=None)
        for question in questions[:: 10 if quick else 1]:
            for where in (None, ~(Field("article") == question.article)):
                rows.append(list(assistant.ask(question.text, where=where).trace.signals.values()))
                answerable.append(where is None)
                odd.append(question.article % 2 == 1)
    x, y, test = np.array(rows), np.array(answerable), np.array(odd)
    names = list(WEIGHTS)
    fitted = LogisticRegression(C=10).fit(x[~test], y[~test])
    shipped = 1 / (1 + np.exp(-(BIAS + x @ np.array(list(WEIGHTS.values())))))
    print(versions("onnxruntime", "scikit-learn"))
    print(f"\n{test.sum() // 2} questions of the odd articles, each with and without the article that answers it\n")
    print("| confidence | AUROC | threshold | abstains where an answer is there | abstains where none is |")
    print("|---|---|---|---|---|")
    cosine = x[:, names.index("cosine")]
    # The plain way's threshold is the best one on the even articles.
    cuts = np.unique(cosine[~test])
    right = [np.mean((cosine[~test] >= cut) == y[~test]) for cut in cuts]
    row("best cosine alone", cosine[test], y[test], float(cuts[int(np.argmax(right))]))
    for threshold in (0.3, THRESHOLD, 0.5):
        row("ragkit, as shipped", shipped[test], y[test], threshold)
    row("fitted anew on the even articles", fitted.predict_proba(x[test])[:, 1], y[test], THRESHOLD)
    weights = ", ".join(f"{name} {value:.2f}" for name, value in zip(names, fitted.coef_[0], strict=True))
    print(f"\nFitted anew: bias {fitted.intercept_[0]:.2f}, {weights}")


def row(name: str, confidence: NDArray[np.float64], answerable: NDArray[np.bool_], threshold: float) -> None:
    """Print one row of the table."""
    kept = confidence >= threshold
    false, right = 1 - kept[answerable].mean(), 1 - kept[~answerable].mean()
    print(f"| {name} | {roc_auc_score(answerable, confidence):.3f} | {threshold:.2f} | {false:.1%} | {right:.1%} |")


if __name__ == "__main__":
    main()
