"""Search over tools: BFCL multi-turn tasks with a simulated policy, 30 % of the tools broken.

Run: python benchmarks/tools_search.py [--limit N] [--right .6,.8] [--calls 40]

This tests the search and no model. A task is the first five calls of a task's ground truth, in order. Each tool exists
twice, as the original and as a mirror, and 30 % of all tools are broken: they fail at every call. The policy proposes
the right next call with the given probability, else a plausible wrong one, which is another function of the same
classes; it does not know which copy works. A wrong call succeeds without progress, so that only the end of a branch
shows that it was wrong. ``probed`` first probes all tools and offers none that is in quarantine. All methods have the
same budget of calls.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import DATA, versions
from ragkit.agents import Call, Outcome, SearchBudget, Step, search

FOLDER = DATA / "bfcl"
LENGTH = 5
BROKEN = 0.3
METHODS = ("chain", "chains", "breadth", "depth")


def tasks(limit: int) -> list[list[Call]]:
    """Return the calls of each task."""
    path = FOLDER / "possible_answer" / "BFCL_v4_multi_turn_base.json"
    if not path.is_file():
        sys.exit(f"skipped: {path} is missing (ShishirPatil/gorilla, BFCL v4)")
    found = []
    for line in path.read_text().splitlines():
        calls = []
        for text in chain.from_iterable(json.loads(line)["ground_truth"]):
            node = ast.parse(text, mode="eval").body
            assert isinstance(node, ast.Call)
            given = {str(number): ast.literal_eval(value) for number, value in enumerate(node.args)}
            given |= {str(word.arg): ast.literal_eval(word.value) for word in node.keywords}
            calls.append(Call(ast.unparse(node.func), given))
        found.append(calls[:LENGTH])
    return found[:limit] if limit else found


class Simulated:
    """Proposes the right next call with some probability."""

    tokens = 0

    def __init__(self, task: Sequence[Call], names: Sequence[str], right: float, offered: set[str], seed: str) -> None:
        self.task, self.names, self.right, self.offered = task, names, right, offered
        self.random = random.Random(seed)

    def propose(self, steps: Sequence[Step], tried: frozenset[str], width: int) -> list[Call | None]:
        """Return guesses; at the end of the task, the wish to answer."""
        if len(steps) >= len(self.task):
            return [None]
        proposals: list[Call | None] = []
        known = set(tried)
        for _ in range(20):
            call = self.guess(len(steps))
            if call.tool in self.offered and call.key() not in known:
                proposals.append(call)
                known.add(call.key())
            if len(proposals) == width:
                break
        return proposals

    def guess(self, at: int) -> Call:
        """Return the right call, or another one with its arguments."""
        wanted = self.task[at]
        name = wanted.tool if self.random.random() < self.right else self.random.choice(self.names)
        return Call(name + self.random.choice(("", "_mirror")), wanted.arguments)

    def answer(self, steps: Sequence[Step]) -> str | None:
        """Return an answer if exactly the calls of the task were made."""
        made = [step.call.tool.removesuffix("_mirror") for step in steps if step.outcome.ok]
        return "done" if made == [call.tool for call in self.task] else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=0, help="tasks (default: all)")
    parser.add_argument("--right", default=".6,.8", help="probabilities of the right call")
    parser.add_argument("--calls", type=int, default=40, help="maximum calls of a task")
    given = parser.parse_args()
    rows = tasks(given.limit)
    print(versions("numpy"))
    print(f"{len(rows)} tasks of up to {LENGTH} calls; {given.calls} calls; simulated policy")
    print("right probed   method   solved  calls/task  calls of broken tools")
    for right in map(float, given.right.split(",")):
        for probed in (False, True):
            for method in METHODS:
                solved = calls = dead = 0
                for number, task in enumerate(rows):
                    chance = random.Random(f"tools {number}")
                    names = sorted({call.tool for call in task} | {f"other{n}" for n in range(6)})
                    every = [name + copy for name in names for copy in ("", "_mirror")]
                    broken = {name for name in every if chance.random() < BROKEN}
                    # At least one copy of each needed tool works; else no method could solve the task.
                    broken -= {f"{name}_mirror" for name in names if name in broken}
                    offered = set(every) - broken if probed else set(every)

                    def run(call: Call, broken: set[str] = broken) -> Outcome:
                        nonlocal dead
                        dead += call.tool in broken
                        return Outcome("error", "unavailable") if call.tool in broken else Outcome("ok", "fine")

                    policy = Simulated(task, names, right, offered, f"{number} {right}")
                    budget = SearchBudget(width=3, depth=LENGTH, calls=given.calls, chains=given.calls // LENGTH)
                    result = search(policy, run, method, budget, state=lambda steps: tuple(s.call.key() for s in steps))  # type: ignore[arg-type]
                    solved += result.answer is not None
                    calls += result.calls
                count = len(rows)
                print(f"{right:<5} {probed!s:<8} {method:<8} {solved / count:>6.3f} {calls / count:>11.1f} {dead:>12}")


if __name__ == "__main__":
    main()
