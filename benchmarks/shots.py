"""Where examples help, and which: answers to XQuAD-en with shots and without, and a task made of parts.

Run: python benchmarks/shots.py [--part xquad|parts] [--questions N] [--model NAME] [--quick]

``xquad``: chat over all paragraphs, questions of the odd articles; the pool is the questions of the even articles with
their answers, so no example is of an article that is asked about.
``parts``: commands of three actions, such as "dim the lamp, then lock the door", to be written as codes. Examples have
two actions each, the combinations that are asked for stand in none. Neighbours may all be like one part of the input;
coverage is meant to bring an example for each. Peers: the plain choice of the nearest, MMR, DPP, and chance.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import exact, f1, half, versions, xquad
from ragkit import Assistant, Index
from ragkit.examples import DynamicSelector, ExamplePool, SelectorOptions
from ragkit.models import ChatModel, GenerationOptions, complete, open_model
from ragkit.prompting import ShotTemplate
from ragkit.records import Example

VERBS = {
    "lamp": {"dim": "lower", "light": "turn on", "darken": "switch off", "colour": "change the colour of"},
    "door": {"lock": "bolt", "open": "unlock", "ring": "listen at", "film": "watch"},
    "oven": {"heat": "warm up", "cool": "let cool", "clean": "scrub", "time": "set a timer on"},
    "radio": {"mute": "silence", "tune": "find a station on", "record": "tape from", "wake": "set the alarm of"},
    "blind": {"raise": "pull up", "drop": "let down", "tilt": "turn the slats of", "stop": "halt"},
    "boiler": {"fill": "top up", "drain": "empty", "check": "inspect", "rest": "put to sleep"},
}
JOINS = (", then ", " and ", "; after that ")
SELECTORS = {
    "chance": SelectorOptions(by="random"),
    "neighbours": SelectorOptions(),
    "hybrid neighbours": SelectorOptions(by="hybrid"),
    "MMR": SelectorOptions(choice="mmr"),
    "DPP": SelectorOptions(choice="dpp"),
    "coverage, keywords": SelectorOptions(choice="keyword_coverage"),
    "coverage, token vectors": SelectorOptions(choice="coverage"),
    "coverage, keywords, of 400": SelectorOptions(choice="keyword_coverage", candidates=400),
    "coverage, token vectors, of 400": SelectorOptions(choice="coverage", candidates=400),
}


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--part", choices=("xquad", "parts", "all"), default="all")
    arguments.add_argument("--model", default="smollm2")
    arguments.add_argument("--questions", type=int, default=100)
    arguments.add_argument("--quick", action="store_true", help="10 questions")
    given = arguments.parse_args()
    count = 10 if given.quick else given.questions
    model = open_model(given.model)
    print(f"{model.name}; {versions('ragkit', 'llama-cpp-python')}\n")
    if given.part in ("parts", "all"):
        parts(model, count)
    if given.part in ("xquad", "all"):
        answers(model, count)


def answers(model: ChatModel, count: int) -> None:
    documents, questions = xquad()
    known = [Example(question.text, question.answers[0]) for question in half(questions, "dev")]
    asked = half(questions, "test")
    random.Random(0).shuffle(asked)
    asked = asked[:count]
    print("| chat | F1 | exact | seconds a question |\n|---|---|---|---|")
    with (
        tempfile.TemporaryDirectory() as folder,
        Index.create(Path(folder) / "index") as index,
        ExamplePool.create(Path(folder) / "pool") as pool,
    ):
        index.add(*documents)
        pool.add(known)
        for name, examples in (("without shots", None), ("4 nearest answered questions", pool)):
            assistant = Assistant(index, model=model, mode="chat", examples=examples)
            begun = time.perf_counter()
            said = [assistant.ask(question.text).text for question in asked]
            seconds = (time.perf_counter() - begun) / len(asked)
            scores = [f1(text, question.answers) for text, question in zip(said, asked, strict=True)]
            same = [exact(text, question.answers) for text, question in zip(said, asked, strict=True)]
            print(f"| {name} | {np.mean(scores):.3f} | {np.mean(same):.3f} | {seconds:.2f} |", flush=True)
    print(f"\n{len(asked)} questions, {len(known)} examples.\n")


def parts(model: ChatModel, count: int) -> None:
    random_ = random.Random(0)
    actions = [
        (f"{wording} the {thing}", f"{thing.upper()}_{verb.upper()}")
        for thing, verbs in VERBS.items()
        for verb, other in verbs.items()
        for wording in (verb, other)
    ]
    codes = sorted({code for _, code in actions})
    pairs = [pair for pair in product(codes, codes) if pair[0] != pair[1]]
    random_.shuffle(pairs)
    shown, kept = set(pairs[: len(pairs) // 2]), set(pairs[len(pairs) // 2 :])
    pool_examples = [made([one, two], actions, random_) for one, two in sorted(shown)]
    asked = []
    while len(asked) < count:
        three = random_.sample(codes, 3)
        if all(pair in kept for pair in ((three[0], three[1]), (three[1], three[2]), (three[0], three[2]))):
            asked.append(made(three, actions, random_))
    print("| examples | parts shown | F1 of the codes | all right | selection ms |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, ExamplePool.create(Path(folder) / "pool") as pool:
        pool.add(pool_examples)
        for name, options in SELECTORS.items():
            selector = DynamicSelector(pool, options)
            selector.select(asked[0].input, 6)
            seen, scores, right, taken = [], [], [], []
            for example in asked:
                begun = time.perf_counter()
                shots = [shot.example for shot in selector.select(example.input, 6)]
                taken.append(time.perf_counter() - begun)
                wanted = example.output.split("; ")
                there = {code for shot in shots for code in shot.output.split("; ")}
                seen.append(np.mean([code in there for code in wanted]))
                messages = ShotTemplate().messages(shots, example.input)
                reply = complete(model, messages, GenerationOptions(max_tokens=40, stop=("\n",))).text.strip()
                got = [code.strip() for code in reply.split(";")]
                both = len(set(got) & set(wanted))
                scores.append(2 * both / (len(set(got)) + len(wanted)))
                right.append(got == wanted)
            print(
                f"| {name} | {np.mean(seen):.2f} | {np.mean(scores):.3f} | {np.mean(right):.3f} | "
                f"{np.median(taken) * 1000:.1f} |",
                flush=True,
            )
    print(f"\n{count} inputs of three actions, {len(pool_examples)} examples of two, 6 shown, {len(codes)} codes.\n")


def made(codes: list[str], actions: list[tuple[str, str]], random_: random.Random) -> Example:
    wordings = [random_.choice([wording for wording, own in actions if own == code]) for code in codes]
    text = wordings[0] + "".join(random_.choice(JOINS) + wording for wording in wordings[1:])
    return Example(text, "; ".join(codes))


if __name__ == "__main__":
    main()
