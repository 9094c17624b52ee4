"""``ragkit advise`` on Banking77 with few examples per class, and the accuracy of each method on the test set.

Run: python benchmarks/advise.py [--methods METHOD ...] [--each N] [--test N] [--held-out N] [--calls N] [--head-seconds
    S]
     [--lora-minutes M] [--threads N] [--work FOLDER]

``--each`` examples of each class of the training set are given to advise, which holds a quarter of them out. Beside
what it measures there stands the accuracy of each method, fitted to the same part, on ``--test`` queries of the test
set. The seconds are those of the machine as it is; nothing is asserted about them.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import DATA, versions
from ragkit.evaluation.advice.advise import advise
from ragkit.evaluation.advice.data import parted
from ragkit.evaluation.advice.methods import METHODS, Resources, measure
from ragkit.examples import read_examples
from ragkit.models import open_model
from ragkit.records import Example


def main() -> None:
    """Print the table and the words."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--methods", nargs="*", choices=METHODS, default=[], help="all that can be had by default")
    arguments.add_argument("--each", type=int, default=10, help="examples a class")
    arguments.add_argument("--test", type=int, default=1000, help="test queries")
    arguments.add_argument("--held-out", type=int, help="examples, of those given to advise")
    arguments.add_argument("--calls", type=int, default=200, help="of the model, for each fit")
    arguments.add_argument("--head-seconds", type=float, default=60.0)
    arguments.add_argument("--lora-minutes", type=float, help="without it there is no LoRA")
    arguments.add_argument("--threads", type=int, default=0)
    arguments.add_argument("--work", type=Path, help="keep what is measured here, to go on later")
    given = arguments.parse_args()
    folder = DATA / "banking77"
    if not folder.is_dir():
        sys.exit(f"skipped: {folder} is missing (Banking77, PolyAI-LDN/task-specific-datasets)")
    test = read_examples(folder / "test.csv", "text", "category")
    random.Random(0).shuffle(test)
    test = test[: given.test]
    examples = per_class(read_examples(folder / "train.csv", "text", "category"), given.each)
    work = given.work or Path(tempfile.mkdtemp())
    model = open_model("smollm2", threads=given.threads)
    advice = advise(
        examples,
        given.methods,
        held_out=given.held_out,
        model=model,
        max_calls=given.calls,
        head_seconds=given.head_seconds,
        lora_minutes=given.lora_minutes,
        threads=given.threads,
        work=work / "advice",
    )
    resources = Resources(
        model,
        max_calls=given.calls,
        head_seconds=given.head_seconds,
        lora_minutes=given.lora_minutes,
        threads=given.threads,
    )
    train = parted(examples, given.held_out).train
    print(f"{model.name}; {versions('ragkit', 'llama-cpp-python', 'scikit-learn')}")
    counts = f"{advice.examples} to learn from, {advice.held_out} held out, {advice.leaked} alike"
    print(f"{len(examples)} examples: {counts}\n")
    print(f"| method | learned from | held out (95 %) | to fit, s | 1,000 inputs, s | {len(test)} test queries |")
    print("|---|---|---|---|---|---|")
    for report in advice.methods:
        for point in report.points:
            full = point is report.full
            true = f"{on_test(report.method, train, test, resources, work):.3f}" if full else ""
            print(
                f"| {report.method} | {point.examples} | {point.accuracy:.3f} ({point.low:.3f} to {point.high:.3f}) | "
                f"{point.fit_seconds:.1f} | {point.seconds_per_thousand:.1f} | {true} |",
                flush=True,
            )
    print()
    for report in advice.methods:
        print(f"{report.method}: {report.curve}; {report.full.note}")
    print("\n" + "\n".join(advice.words))


def on_test(method: str, train: tuple[Example, ...], test: list[Example], resources: Resources, work: Path) -> float:
    """Return the accuracy of a method, fitted anew, on the test queries; kept in the work folder."""
    file = work / f"test-{method}-{len(test)}.json"
    if not file.exists():
        with tempfile.TemporaryDirectory() as folder:
            right = measure(method, Path(folder), train, test, resources).right
        file.write_text(json.dumps(sum(right) / len(right)))
    return float(json.loads(file.read_text()))


def per_class(rows: list[Example], size: int) -> list[Example]:
    """Return ``size`` examples of each class, by chance."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for row in rows:
        groups[row.output].append(row)
    chance = random.Random(0)
    return [row for label in sorted(groups) for row in chance.sample(groups[label], min(size, len(groups[label])))]


if __name__ == "__main__":
    main()
