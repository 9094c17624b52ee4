"""A task whose best prompt is known: an item is right if its colour is named in the instruction or among the shots."""

import os
import signal
import sys

from ragkit.models.scripted import ScriptedModel
from ragkit.prompt_search import ExampleScore, SearchOptions, search_prompts
from ragkit.records import Example

COLOURS = ["red", "blue", "green", "black"]
TRAIN = [Example(f"training thing number {n}", COLOURS[n % 4]) for n in range(16)]
DEV = [Example(f"dev thing number {n}", COLOURS[(n + n // 4) % 4]) for n in range(12)]
OPTIONS = SearchOptions(max_calls=120, shots=4, minibatch=3, proposals=4)


def told(candidate):
    named = {colour for colour in COLOURS if colour in candidate.instruction.split()}
    return named | {shot.output for shot in candidate.shots}


def objective(candidate, examples):
    known = told(candidate)
    return [
        ExampleScore(1.0, f"Right: {example.output}.")
        if example.output in known
        else ExampleScore(0.1, f"miss={example.output}")
        for example in examples
    ]


class Counting:
    """The same, and keeps what it was asked."""

    identity = "colours"

    def __init__(self):
        self.asked = []

    def __call__(self, candidate, examples):
        self.asked += [(candidate.key, example.input) for example in examples]
        return objective(candidate, examples)


def write_instruction(messages):
    """Propose as a helpful model would: the last instruction it sees, with a colour that was missed or is new."""
    text = messages[-1].content
    lines = text.splitlines()
    if "```" in text:
        own = text.split("```")[1].split()
        return (
            "I see.\n```\n" + " ".join([*own, *(line.split("miss=")[1] for line in lines if "miss=" in line)]) + "\n```"
        )
    seen = [line.removeprefix("Instruction: ") for line in lines if line.startswith("Instruction: ")]
    shown = [line.removeprefix("Output: ") for line in lines if line.startswith("Output: ")]
    named = seen[-1].split() if seen else []
    new = next((colour for colour in [*shown, *COLOURS] if colour not in named), "again")
    return f"Instruction: {seen[-1] if seen else 'say'} {new}"


def search(method, judge=objective, proposer=None, **more):
    proposer = proposer or ScriptedModel(write_instruction)
    return search_prompts(judge, TRAIN, DEV, **{"method": method, "proposer": proposer, "options": OPTIONS, **more})


class Killed(Counting):
    """Ends the process without warning in the middle of a search."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def __call__(self, candidate, examples):
        if len(self.asked) >= self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(candidate, examples)


if __name__ == "__main__":
    search(sys.argv[1], Killed(int(sys.argv[3])), folder=sys.argv[2])
