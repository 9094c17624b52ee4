"""Questions on tables: the right result by executed rows, beside retrieval alone.

Run: python benchmarks/table_questions.py [--half a|b|all] [--model NAME] [--retrieval] [--limit N] [--verbose]

60 questions on the tables of docs/samples and of the handbook, written before the rules: half ``a`` to choose on, half
``b`` to report. A result is right if it has as many rows as expected, and each expected row is in one of them (other
columns may stand beside it); a question without an answer must be refused. ``--retrieval`` asks an index of the same
documents: right if the answer was given and has all expected values, or if it was refused.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import DATA, versions
from ragkit import Assistant, Index
from ragkit.answering.measures import measure_of
from ragkit.models import open_model
from ragkit.tables import TableAnswer, open_tables
from ragkit.tables.values import visible

QUESTIONS = Path(__file__).parent / "data" / "table_questions.jsonl"
TARGETS = {
    "samples": Path(__file__).resolve().parents[1] / "docs" / "samples",
    "handbook": DATA / "handbook" / "docs",
}
Expected = Sequence[Sequence[str | int | float]]


def same(expected: str | int | float, value: object) -> bool:
    """Compare a number with the number of a cell, or a text with a cell's visible text or its beginning."""
    if value is None:
        return False
    if isinstance(expected, str):
        shown = visible(str(value)).casefold().strip()
        return shown == expected.casefold() or shown.startswith(expected.casefold() + ".")
    measure = measure_of(re.sub(r"[A-Za-z%€$£¥ ]+.*$", "", str(value)))
    return measure is not None and math.isclose(measure.value, expected, rel_tol=1e-6)


def right(expected: Expected | None, answer: TableAnswer) -> bool:
    """Compare the rows of an answer with the expected ones, in any order."""
    if expected is None or not answer.answered:
        return expected is None and not answer.answered
    left = list(answer.rows)
    for row in expected:
        found = next((one for one in left if all(any(same(value, cell) for cell in one) for value in row)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def has_values(expected: Expected | None, text: str, abstained: bool) -> bool:
    """Return whether a text has all expected values."""
    if expected is None or abstained:
        return expected is None and abstained
    plain = text.casefold().replace(",", "")
    return all(
        re.search(rf"(?<![\w.]){re.escape(str(value).casefold().replace(',', ''))}(?:\.0+)?(?!\w|\.\d)", plain)
        for row in expected
        for value in row
    )


def main() -> None:
    """Print the share of right results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", default="a", choices=("a", "b", "all"))
    parser.add_argument("--model", default="", help="local or API model; rules alone without one")
    parser.add_argument("--retrieval", action="store_true", help="ask an index of the documents too")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    rows = [json.loads(line) for line in QUESTIONS.read_text().splitlines()]
    rows = [row for row in rows if options.half in (row["half"], "all") and TARGETS[row["target"]].is_dir()]
    rows = rows[: options.limit] if options.limit else rows
    model = open_model(options.model) if options.model else None
    counts: Counter[str] = Counter()
    seconds = 0.0
    for target in dict.fromkeys(row["target"] for row in rows):
        own = [row for row in rows if row["target"] == target]
        with open_tables(TARGETS[target]) as tables:
            for row in own:
                start = time.perf_counter()
                answer = tables.ask(row["question"], model)
                seconds += time.perf_counter() - start
                is_right = right(row["rows"], answer)
                answerable = row["rows"] is not None
                counts["all"] += 1
                counts["right"] += is_right
                counts["answerable"] += answerable
                counts["answerable right"] += answerable and is_right
                counts["wrong answer"] += answer.answered and not is_right
                counts[answer.method or "refused"] += 1
                if options.verbose or not is_right:
                    print(f"{'ok ' if is_right else 'NO '} {row['id']} {row['question']} [{answer.method}]")
                    print(f"      {answer.sql or answer.text} -> {list(answer.rows)[:4]}, expected {row['rows']}")
        if options.retrieval:
            with tempfile.TemporaryDirectory() as folder, Index.create(Path(folder) / "index") as index:
                index.add(TARGETS[target])
                assistant = Assistant(index, model=model)
                for row in own:
                    reply = assistant.ask(row["question"])
                    counts["retrieval right"] += has_values(row["rows"], reply.text, reply.abstained)
    print(f"\n{versions('sqlglot')}; half {options.half}; model {options.model or 'none'}")
    print(f"right result: {counts['right']} of {counts['all']} ({counts['right'] / max(1, counts['all']):.2f})")
    print(f"  of those with an answer: {counts['answerable right']} of {counts['answerable']}")
    print(f"  wrong answers given: {counts['wrong answer']}")
    print("  methods: " + ", ".join(f"{name} {counts[name]}" for name in ("rules", "choice", "generated", "refused")))
    print(f"  {seconds / max(1, counts['all']) * 1000:.0f} ms per question")
    if options.retrieval:
        print(f"retrieval alone: {counts['retrieval right']} of {counts['all']}")


if __name__ == "__main__":
    main()
