"""Plans: how many are valid at the first try, and what reading a document once saves.

Run: python benchmarks/plans.py [--part write|run|all] [--model NAME] [--limit N] [--values 8] [--retries 7] [--verbose]

``write``: plans for the handbook's questions that stand alone, under the grammar, and beside it by the same model with
the same prompt and no grammar, whose problems are sent back up to 7 times with the invalid plan, as in PEARL (Sun et
al., 2023). Valid means that names, number of arguments, order and kinds hold; not that the plan is a good one.

``run``: a plan that extracts 8 values from a page of the handbook with 3,600 words. The model reads the text around the
best sentence of each value (the default for small models), or the complete page once for all values, or with its prefix
cache emptied before each value, as if each action read the page again. The values of the last two are the same.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import DATA, versions
from ragkit import Index
from ragkit.agents import ACTIONS, Plan, Planner, PlannerOptions
from ragkit.agents.plans.demonstrations import demonstrations_for
from ragkit.agents.plans.writing import plan_messages, write_plan
from ragkit.answering import AnswerOptions
from ragkit.errors import PlanError
from ragkit.models import ChatModel, GenerationOptions, LlamaCppModel, complete, open_model
from ragkit.models.base import Choice
from ragkit.records import Message

HANDBOOK = DATA / "handbook"
PAGE = "docs/getting-started/classes/benefits.md"
VALUES = 8
REPLY_TOKENS = 300


def questions() -> list[dict[str, Any]]:
    """Return the handbook's questions that stand alone."""
    path = HANDBOOK / "questions.jsonl"
    if not path.is_file():
        sys.exit(f"skipped: {path} is missing (18F/handbook)")
    read = [json.loads(line) for line in path.read_text().splitlines()]
    return [question for question in read if "history" not in question]


def problem_of(question: str, reply: str) -> str:
    """Return what is wrong with a plan in free text; empty for a valid one."""
    try:
        problems = Plan.parse(question, reply).problems(ACTIONS)
    except PlanError as error:
        return error.message
    return problems[0] if problems else ""


def write_freely(model: ChatModel, question: str, retries: int) -> tuple[int, int]:
    """Return how many attempts a valid plan took without a grammar, 0 if none was valid, and how many were made."""
    messages = plan_messages(question, ACTIONS, demonstrations_for(question))
    for attempt in range(1, retries + 2):
        if model.count_tokens(messages) + REPLY_TOKENS > model.window:
            return 0, attempt - 1
        reply = complete(model, messages, GenerationOptions(max_tokens=REPLY_TOKENS, stop=("\n\n",))).text
        problem = problem_of(question, reply)
        if not problem:
            return attempt, attempt
        correct = f"The plan is invalid: {problem}\nWrite the corrected plan."
        messages += [Message("assistant", reply), Message("user", correct)]
    return 0, retries + 1


def compare_writing(model: ChatModel, asked: Sequence[str], retries: int, *, verbose: bool) -> None:
    """Print the share of valid plans with and without the grammar."""
    first = valid = attempts = constrained = 0
    seconds = [0.0, 0.0]
    for number, question in enumerate(asked, 1):
        started = time.perf_counter()
        written = write_plan(model, question, ACTIONS)
        seconds[0] += time.perf_counter() - started
        constrained += written.plan is not None and len(written.attempts) == 1
        started = time.perf_counter()
        needed, made = write_freely(model, question, retries)
        seconds[1] += time.perf_counter() - started
        first, valid, attempts = first + (needed == 1), valid + (needed > 0), attempts + made
        if verbose:
            print(
                f"{number}. {question}\n{written.plan}\nwithout grammar: {needed or 'invalid'} of {made}\n", flush=True
            )
    total = len(asked)
    print(f"\n{model.name}, {total} questions")
    print(f"{'':24}{'first try':>10}{'in the end':>12}{'attempts':>10}{'s/plan':>8}")
    print(f"{'grammar':24}{constrained / total:10.3f}{constrained / total:12.3f}{1:10.2f}{seconds[0] / total:8.1f}")
    print(f"{f'free, {retries} retries':24}{first / total:10.3f}{valid / total:12.3f}{attempts / total:10.2f}"
          f"{seconds[1] / total:8.1f}")  # fmt: skip


@contextmanager
def forgetting(model: LlamaCppModel) -> Iterator[None]:
    """Let a model evaluate the prompt of each extraction from its beginning."""
    choose = model.choose

    def choose_anew(messages: Sequence[Message], replies: Sequence[str], biases: Sequence[float] = ()) -> Choice:
        model.score([Message("user", "Hello")], ["."])
        return choose(messages, replies, biases)

    setattr(model, "choose", choose_anew)  # noqa: B010 - mypy forbids the assignment
    try:
        yield
    finally:
        delattr(model, "choose")


def compare_reading(model: LlamaCppModel, asked: Sequence[str]) -> None:
    """Print time and tokens of a plan that reads a page once, and of one that reads it for each value."""
    page = HANDBOOK / PAGE
    with tempfile.TemporaryDirectory() as folder, Index.create(Path(folder) / "page") as index:
        index.add(page)
        title = index.documents()[0].title
        lines = [f"s1 = read_document({json.dumps(title)})"]
        lines += [f"s{number} = extract_value({json.dumps(text)}, s1)" for number, text in enumerate(asked, 2)]
        lines.append(f"s{len(asked) + 2} = answer({', '.join(f's{n}' for n in range(2, len(asked) + 2))})")
        plan = Plan.parse(title, "\n".join(lines))
        words = len(page.read_text().split())
        print(f"\n{model.name}, {len(asked)} values from a page of {words:,} words")
        print(f"{'':24}{'seconds':>10}{'tokens':>10}")
        found: list[list[str]] = []
        for name, reading, read_all in (
            ("around the best", nullcontext(), False),
            ("page once", nullcontext(), True),
            ("page for each value", forgetting(model), True),
        ):
            # Nothing is refused, so that all values are read.
            steps, answers = len(asked) + 2, AnswerOptions(threshold=0)
            options = PlannerOptions(max_steps=steps, answers=answers, read_all=read_all)
            planner = Planner(index, model, options=options)
            with reading:
                result = planner.ask(title, plan)
            events = [event for event in result.trace.events if event.kind == "step"]
            seconds, tokens = sum(event.seconds for event in events), sum(event.tokens for event in events)
            print(f"{name:24}{seconds:10.1f}{tokens:10,}")
            found.append([step.value.text if step.value is not None else step.error for step in result.steps])
        print("page once and for each value:", "same values" if found[1] == found[2] else "other values")
        for text, around, page_value in zip(asked, found[0][1:], found[1][1:], strict=False):
            print(f"- {text} -> {around[:60]} | {page_value[:60]}")


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("write", "run", "all"), default="all")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--limit", type=int, default=150, help="questions of `write`")
    parser.add_argument("--values", type=int, default=VALUES, help="values of `run`")
    parser.add_argument("--retries", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args()
    print(versions())
    model = open_model(given.model, threads=given.threads)
    assert isinstance(model, LlamaCppModel), "a local model is needed"
    known = questions()
    if given.part != "run":
        step = max(1, len(known) // given.limit)
        texts = [question["question"] for question in known[::step]][: given.limit]
        compare_writing(model, texts, given.retries, verbose=given.verbose)
    if given.part != "write":
        page = [q["question"] for q in known if q["sources"] and q["sources"][0]["source"] == PAGE]
        compare_reading(model, page[: given.values])


if __name__ == "__main__":
    main()
