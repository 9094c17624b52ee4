"""Relevance and evidence: fitted on halves of two collections, judged on the others.

Run: python benchmarks/evidence.py [--handbook FOLDER] [--questions N]

XQuAD-en's questions are asked four times: of the whole index, without the sentences that answer (a near miss), without
their paragraph, and without its article. The handbook's questions are asked with and without the sentences that answer,
and it has near misses and far ones of its own. Even articles and half ``a`` fit the weights; odd articles and half
``b`` judge them. The shipped weights are judged too.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import DATA, versions, xquad
from benchmarks.questions import holds, share
from ragkit import Assistant, Index
from ragkit.answering.evidence import REFUSE_BELOW, UNSURE_BELOW, evidence_score, relevance, signals
from ragkit.answering.question import understand
from ragkit.answering.search import search
from ragkit.indexing import Field
from ragkit.records import Message

SIGNALS = ("score", "spread", "untyped", "typed", "mistyped", "elsewhere")
RELEVANCE = ("score", "spread")
WEIGHTS = {
    "XQuAD": 1.0,
    "without sentence": 1.0,
    "without paragraph": 0.7,
    "without article": 0.5,
    "handbook": 3.0,
    "handbook without": 3.0,
    "near miss": 8.0,
    "far": 8.0,
}
"""Of a row of each group in the fit, so that the small collection counts beside the large one."""


class Rows:
    """Signals of questions, with the group that each belongs to."""

    def __init__(self) -> None:
        self.signals: list[list[float]] = []
        self.groups: list[str] = []
        self.test: list[bool] = []

    def add(self, signals: dict[str, float], group: str, test: bool) -> None:
        """Add a question; one for which nothing was found has no signals and is left out."""
        if signals:
            self.signals.append([signals[name] for name in SIGNALS])
            self.groups.append(group)
            self.test.append(test)


def without(
    assistant: Assistant, question: str, history: Sequence[Message], answers: Callable[[str], bool]
) -> dict[str, float]:
    """Return the signals of a question without the units that answer it; empty where nothing is left."""
    asked = understand(question, history)
    evidence = assistant._evidence(asked, search(asked, assistant.retriever))
    left = [one for one in evidence.ranked if not answers(one.unit.text)]
    if not left:
        return {}
    return signals(asked.query, left, asked.kind, evidence.weights, asked.focus)


def main() -> None:
    """Print the fitted weights, and how well they and the shipped ones tell the groups apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--handbook", type=Path, default=DATA / "handbook")
    parser.add_argument("--questions", type=int, default=300, help="of XQuAD")
    given = parser.parse_args()
    rows = Rows()
    documents, questions = xquad()
    sources = {document.id: document.source for document in documents}
    random.Random(0).shuffle(questions)
    with tempfile.TemporaryDirectory() as folder, Index.create(Path(folder) / "xquad") as index:
        index.add(*documents)
        assistant = Assistant(index, model=None)
        for question in questions[: given.questions]:
            test = question.article % 2 == 1
            for group, where in (
                ("XQuAD", None),
                ("without paragraph", ~(Field("source") == sources[question.document])),
                ("without article", ~(Field("article") == question.article)),
            ):
                rows.add(dict(assistant.ask(question.text, where=where).trace.signals), group, test)
            answers = [answer for answer in question.answers if answer]
            found = without(
                assistant, question.text, (), lambda text, answers=answers: any(holds(text, a) for a in answers)
            )
            rows.add(found, "without sentence", test)
    if given.handbook.is_dir():
        with tempfile.TemporaryDirectory() as folder, Index.create(Path(folder) / "handbook") as index:
            index.add(given.handbook / "docs")
            assistant = Assistant(index, model=None)
            for line in (given.handbook / "questions.jsonl").read_text(encoding="utf-8").splitlines():
                asked = json.loads(line)
                if asked["kind"] == "foreign":
                    continue
                history = [Message(turn["role"], turn["content"]) for turn in asked.get("history", [])]
                group = {"nearmiss": "near miss", "far": "far"}.get(asked["kind"], "handbook")
                found = dict(assistant.ask(asked["question"], history=history).trace.signals)
                rows.add(found, group, asked["half"] == "b")
                gold = [one["quote"] for name in ("sources", "also") for one in asked.get(name, [])]
                if gold and asked["kind"] not in ("summary", "about"):
                    found = without(
                        assistant,
                        asked["question"],
                        history,
                        lambda text, gold=gold: any(share(text, g) >= 0.5 or share(g, text) >= 0.4 for g in gold),
                    )
                    rows.add(found, "handbook without", asked["half"] == "b")
    print(versions("onnxruntime", "scikit-learn"))
    judge(rows)


def judge(rows: Rows) -> None:
    """Fit on one half, and print both halves' figures on the other."""
    values, groups, test = np.array(rows.signals), np.array(rows.groups), np.array(rows.test)
    answerable = np.isin(groups, ["XQuAD", "handbook"])
    weights = np.array([WEIGHTS[group] for group in groups])
    about = np.isin(groups, ["XQuAD", "without article", "handbook", "far"])
    columns = [SIGNALS.index(name) for name in RELEVANCE]
    fits = {}
    for name, taken, use in (
        ("relevance", about, columns),
        ("evidence", np.ones(len(groups), bool), list(range(len(SIGNALS)))),
    ):
        fit = LogisticRegression(C=10, max_iter=2000)
        fit.fit(values[taken & ~test][:, use], answerable[taken & ~test], sample_weight=weights[taken & ~test])
        named = zip((SIGNALS[column] for column in use), fit.coef_[0], strict=True)
        print(f"\n{name}: bias {fit.intercept_[0]:.2f}, {', '.join(f'{key} {value:.2f}' for key, value in named)}")
        fits[name] = fit.predict_proba(values[:, use])[:, 1]
    as_dicts = [dict(zip(SIGNALS, row, strict=True)) for row in values]
    shipped = np.array([relevance(row) for row in as_dicts]), np.array([evidence_score(row) for row in as_dicts])
    print("\n| weights | group | n | refused | unsure | answered | AUROC of the evidence against the answerable |")
    print("|---|---|---|---|---|---|---|")
    for title, (about_score, score) in (("shipped", shipped), ("fitted here", (fits["relevance"], fits["evidence"]))):
        for group in WEIGHTS:
            here = test & (groups == group)
            if here.any():
                row(title, group, about_score[here], score[here], score[test & answerable], bool(answerable[here][0]))


def row(
    title: str,
    group: str,
    about: NDArray[np.float64],
    score: NDArray[np.float64],
    good: NDArray[np.float64],
    answerable: bool,
) -> None:
    """Print the outcomes of a group."""
    refused = about < REFUSE_BELOW
    unsure = ~refused & (score < UNSURE_BELOW)
    truth = np.r_[np.ones(len(good)), np.zeros(len(score))]
    area = "–" if answerable else f"{roc_auc_score(truth, np.r_[good, score]):.3f}"
    answered = 1 - refused.mean() - unsure.mean()
    print(
        f"| {title} | {group} | {len(about)} | {refused.mean():.2f} | {unsure.mean():.2f} | {answered:.2f} | {area} |"
    )


if __name__ == "__main__":
    main()
