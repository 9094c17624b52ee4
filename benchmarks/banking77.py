"""Banking77: bank queries into 77 intents by examples, with a model in the loop.

Run: python benchmarks/banking77.py [--part full|sizes|speed] [--limit N] [--plain N] [--work FOLDER] [--quick]

``full``: all training rows as the pool, the full test set. ragkit's Classifier is fitted on the training rows alone
(each is hidden from itself). Beside it, without a model: the vote of the neighbours and logistic regression on the
same vectors. And the plain loop, one prompt and 12 generated tokens a query, with the same model and the same k, its
examples chosen by chance, by Jaccard overlap, by nearness, and by LangChain's SemanticSimilarityExampleSelector and
MaxMarginalRelevanceExampleSelector over the same embedder: on the first ``--plain`` test queries, for it is slow; the
others are also shown on these.
``sizes``: the same with 10, 30 and 100 examples a class (classes that have fewer give all).
``speed``: seconds a query of Classifier.predict, where the model reads every query and where it reads only those on
which the neighbours disagree, and of the plain loop with 8 shots, in turns in one run.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import DATA, versions
from ragkit._progress import Progress, ProgressCallback
from ragkit.examples import DynamicSelector, ExampleSelector, SelectorOptions, read_examples
from ragkit.examples.leaks import find_leaks
from ragkit.models import ChatModel, GenerationOptions, complete, open_model
from ragkit.prompting import ShotTemplate
from ragkit.records import Example
from ragkit.tasks import Classifier, ClassifierOptions, FitBudget

K = 8


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--part", choices=("full", "sizes", "speed", "all"), default="all")
    arguments.add_argument("--model", default="smollm2")
    arguments.add_argument("--limit", type=int, default=0, help="so many test queries only; 0 for all 3,080")
    arguments.add_argument("--plain", type=int, default=300, help="test queries for the plain loop")
    arguments.add_argument("--calls", type=int, default=400, help="of the model, to fit")
    arguments.add_argument("--work", type=Path, help="keep pools and fits here, to go on later")
    arguments.add_argument("--quick", action="store_true", help="20 queries of each, 40 calls")
    given = arguments.parse_args()
    if given.quick:
        given.limit, given.plain, given.calls = 20, 20, 40
    folder = DATA / "banking77"
    if not folder.is_dir():
        sys.exit(f"skipped: {folder} is missing (Banking77, PolyAI-LDN/task-specific-datasets)")
    train = read_examples(folder / "train.csv", "text", "category")
    test = read_examples(folder / "test.csv", "text", "category")
    random.Random(0).shuffle(test)
    test = test[: given.limit] if given.limit else test
    work = given.work or Path(tempfile.mkdtemp())
    model = open_model(given.model)
    print(f"{model.name}; {versions('ragkit', 'llama-cpp-python', 'langchain-core', 'scikit-learn')}\n")
    if given.part in ("full", "all"):
        full(train, test, model, given.plain, given.calls, work)
    if given.part in ("sizes", "all"):
        sizes(train, test, model, min(given.plain, 200), given.calls // 2, work)
    if given.part in ("speed", "all"):
        speed(train, test[: 20 if given.quick else 60], model, given.calls, work)


def full(train: list[Example], test: list[Example], model: ChatModel, plain: int, calls: int, work: Path) -> None:
    with fitted(train, model, calls, work / "full") as classifier:
        leaks = find_leaks(classifier.pool, test)
        print(
            f"Test queries that the pool has, or nearly (cosine .95): {len(leaks)}; the guard hides the input itself.\n"
        )
        rows = ours(classifier, test, plain)
        selectors: dict[str, ExampleSelector] = {
            "chance": DynamicSelector(classifier.pool, SelectorOptions(by="random")),
            "Jaccard": DynamicSelector(classifier.pool, SelectorOptions(by="jaccard")),
            "nearest": DynamicSelector(classifier.pool),
            **langchain_selectors(train),
        }
        table(rows, len(test), plain)
        for name, selector in selectors.items():
            rows.append((f"plain loop, {K} shots: {name}", None, *loop(model, selector, test[:plain], train)))
        table(rows, len(test), plain)


def sizes(train: list[Example], test: list[Example], model: ChatModel, plain: int, calls: int, work: Path) -> None:
    for size in (10, 30, 100):
        some = per_class(train, size)
        print(f"{size} examples a class, {len(some):,} in all\n")
        with fitted(some, model, calls, work / f"size-{size}") as classifier:
            rows = ours(classifier, test, plain)
            nearest = DynamicSelector(classifier.pool)
            rows.append((f"plain loop, {K} shots: nearest", None, *loop(model, nearest, test[:plain], some)))
        table(rows, len(test), plain)


def speed(train: list[Example], test: list[Example], model: ChatModel, calls: int, work: Path) -> None:
    with fitted(train, model, calls, work / "full") as classifier:
        nearest = DynamicSelector(classifier.pool)
        fit = classifier.options
        direct = {k: replace(fit, direction="direct", setting=replace(fit.setting, k=k)) for k in (2, 3, 4)}
        ways = {
            "as fitted, the model reads the unsure": fit,
            "as fitted, the model reads all": replace(fit, llm_mode="all"),
            "channel, 3 examples of a label, reads the unsure": replace(
                fit, direction="channel", setting=replace(fit.setting, k=3)
            ),
            "direct, 4 shots, reads the unsure": direct[4],
            **{f"direct, {k} shots, reads all": replace(one, llm_mode="all") for k, one in direct.items()},
        }
        reading = {
            f"Classifier: {name}": Classifier(classifier.path, classifier.pool, options, model)
            for name, options in ways.items()
        }
        taken: dict[str, list[float]] = {}
        right: dict[str, list[bool]] = {}
        part = 20
        for start in range(0, len(test), part):
            some = test[start : start + part]
            begun = time.perf_counter()
            correct = [answer(model, nearest, example.input) == shown(example.output) for example in some]
            taken.setdefault("plain loop", []).append((time.perf_counter() - begun) / len(some))
            right.setdefault("plain loop", []).extend(correct)
            for name, one in reading.items():
                begun = time.perf_counter()
                predictions = one.predict([example.input for example in some], exclude_self=True)
                taken.setdefault(name, []).append((time.perf_counter() - begun) / len(some))
                right.setdefault(name, []).extend(p.label == e.output for p, e in zip(predictions, some, strict=True))
    base = statistics.median(taken["plain loop"])
    print("| way | seconds a query, median of parts of 20 | times as fast | accuracy |\n|---|---|---|---|")
    for name, seconds in taken.items():
        middle = statistics.median(seconds)
        print(f"| {name} | {middle:.3f} | {base / middle:.2f} | {np.mean(right[name]):.3f} |")
    print(f"\n{len(test)} queries.\n")


def fitted(examples: list[Example], model: ChatModel, calls: int, folder: Path) -> Classifier:
    begun = time.perf_counter()
    classifier = Classifier.fit(
        folder, examples, model=model, budget=FitBudget(max_calls=calls, held_out=300), progress=bar("fit")
    )
    report = classifier.report
    assert report is not None
    options = classifier.options
    print(
        f"Fitted in {time.perf_counter() - begun:.0f} s with {report.calls} calls. On {report.voters} training queries "
        f"(each hidden from itself) the vote has {report.vote_accuracy:.3f}, the probe {report.probe_accuracy:.3f}, "
        f"both {report.prior_accuracy:.3f}; {report.unsure:.0%} are unsure, on "
        f"which the chosen settings have {report.accuracy:.3f}.\nChosen: {told(options)}; {options.vote}; sure "
        f" from {options.confidence:.2f}; {options.weights}.\n"
    )
    for trial in report.race.trials if report.race else ():
        print(f"- {told(trial.setting)}: {trial.score:.3f} on {trial.tried}")
    print()
    return classifier


def told(options: ClassifierOptions) -> str:
    setting, selector = options.setting, options.setting.selector
    return (
        f"{options.direction}, {options.candidates} labels, k={setting.k} {selector.by} {selector.choice} "
        f"{selector.order} {setting.template.style}"
    )


def ours(classifier: Classifier, test: list[Example], plain: int) -> list[tuple]:
    """Return rows of (name, accuracy on all, accuracy on the first ``plain``, invalid labels, seconds a query)."""
    pool = classifier.pool
    begun = time.perf_counter()
    predictions = classifier.predict([e.input for e in test], exclude_self=True, progress=bar("predict"))
    seconds = (time.perf_counter() - begun) / len(test)
    correct = [p.label == e.output for p, e in zip(predictions, test, strict=True)]
    invalid = sum(p.label not in classifier.options.labels for p in predictions)
    read = np.mean([p.used_llm for p in predictions])
    rows = [(f"Classifier (the model reads {read:.0%})", np.mean(correct), np.mean(correct[:plain]), invalid, seconds)]
    begun = time.perf_counter()
    looks = [classifier.look(e.input, exclude_self=True).prior.argmax() for e in test]
    seconds = (time.perf_counter() - begun) / len(test)
    correct = [classifier.options.labels[look] == e.output for look, e in zip(looks, test, strict=True)]
    rows.append(("votes and probe, no model", np.mean(correct), np.mean(correct[:plain]), 0, seconds))
    known = list(pool)
    vectors = pool.index.embedder.embed([e.input for e in known], "document")
    regression = LogisticRegression(C=10, max_iter=500).fit(vectors, [e.output for e in known])
    asked = pool.index.embedder.embed([e.input for e in test], "query")
    correct = list(regression.predict(asked) == np.array([e.output for e in test]))
    rows.append(("logistic regression on the vectors", np.mean(correct), np.mean(correct[:plain]), 0, None))
    return rows


def langchain_selectors(train: list[Example]) -> dict[str, ExampleSelector]:
    from langchain_core.example_selectors import (
        MaxMarginalRelevanceExampleSelector,
        SemanticSimilarityExampleSelector,
    )
    from langchain_core.vectorstores import InMemoryVectorStore

    from ragkit.integrations import LangChainSelector, RagkitEmbeddings

    rows = [{"input": e.input, "output": e.output} for e in train]
    kinds = {
        "LangChain SemanticSimilarity": SemanticSimilarityExampleSelector,
        "LangChain MMR": MaxMarginalRelevanceExampleSelector,
    }
    return {
        name: LangChainSelector(
            kind.from_examples(rows, RagkitEmbeddings(), InMemoryVectorStore, k=K, input_keys=["input"])
        )
        for name, kind in kinds.items()
    }


def loop(
    model: ChatModel, selector: ExampleSelector, test: list[Example], train: list[Example]
) -> tuple[float, int, float]:
    """Return the accuracy, the invalid labels and the seconds a query of one prompt a query and 12 tokens."""
    labels = {shown(example.output) for example in train}
    begun = time.perf_counter()
    said = []
    for example in test:
        said.append(answer(model, selector, example.input))
        bar("plain loop")(Progress("", len(said), len(test)))
    seconds = (time.perf_counter() - begun) / len(test)
    right = [text == shown(example.output) for text, example in zip(said, test, strict=True)]
    return float(np.mean(right)), sum(text not in labels for text in said), seconds


def answer(model: ChatModel, selector: ExampleSelector, text: str) -> str:
    shots = [Example(shot.example.input, shown(shot.example.output)) for shot in selector.select(text, K)]
    return complete(model, ShotTemplate().messages(shots, text), GenerationOptions(max_tokens=12)).text.strip()


def shown(label: str) -> str:
    return label.replace("_", " ")


def per_class(train: Sequence[Example], size: int) -> list[Example]:
    rows = list(train)
    random.Random(0).shuffle(rows)
    taken: dict[str, list[Example]] = {}
    for row in rows:
        if len(taken.setdefault(row.output, [])) < size:
            taken[row.output].append(row)
    return [row for group in taken.values() for row in group]


def bar(name: str) -> ProgressCallback:
    def show(progress: Progress) -> None:
        if progress.done % 20 == 0 or progress.done == progress.total:
            print(f"\r{name}: {progress.done}/{progress.total} ", end="", file=sys.stderr, flush=True)

    return show


def table(rows: list[tuple], count: int, plain: int) -> None:
    print(f"| way | accuracy, {count:,} queries | the first {plain} | invalid labels | seconds a query |")
    print("|---|---|---|---|---|")
    for name, whole, first, invalid, seconds in rows:
        accuracy = "–" if whole is None else f"{whole:.4f}"
        print(f"| {name} | {accuracy} | {first:.3f} | {invalid} | {'–' if seconds is None else f'{seconds:.3f}'} |")
    print(flush=True)


if __name__ == "__main__":
    main()
