"""XQuAD-en: does a reward model tell better answers from worse, and is the best of four better than one?

Run: python benchmarks/reward.py [--questions N] [--lora MINUTES] [--quick]

SmolLM2-135M answers each question from its gold passage behind four shots of no article of XQuAD: four times at
temperature 0.8, and the odd articles' questions once greedily. Two answers to a question are ranked by their token F1
against the gold answer: a stand-in, made by a program, for the rankings of people. Reward models learn from the even
articles' rankings and are judged on the odd ones. ``--lora`` adds a reward model that is SmolLM2 itself, trained for
that long; it reads passage and question without the shots. What was drawn is kept in benchmarks/results. Intervals are
of 95 %: Wilson's for pairs, a bootstrap over questions for F1.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import Question, f1, half, tokens, versions, xquad
from ragkit import Message
from ragkit.models import GenerationOptions, open_model
from ragkit.tuning.comparison import estimate, gain
from ragkit.tuning.lora.training import LoraOptions
from ragkit.tuning.rewards.features import NAMES, Features
from ragkit.tuning.rewards.measure import RewardModel, accuracy, by_prompt
from ragkit.tuning.rewards.rankings import Prompt, Ranking, ranked
from ragkit.tuning.rewards.sampling import Sampled, draw_all
from ragkit.tuning.rewards.tuning import RewardOptions, open_reward, tune_reward

RESULTS = Path(__file__).parent / "results"
MUSEUM = (
    "The Lantern Museum opened in 1911 in a former flour mill. Its founder, Clara Voss, gave it 340 lamps from her own "
    "collection, most of them from Portugal."
)
BASALT = (
    "Basalt forms when lava that is rich in magnesium and iron cools quickly near the surface. About 90 percent of all "
    "volcanic rock on Earth is basalt."
)
SHOTS = (
    (MUSEUM, "Who founded the Lantern Museum?", "Clara Voss"),
    (MUSEUM, "What was the building before it was a museum?", "a former flour mill"),
    (BASALT, "How much of Earth's volcanic rock is basalt?", "90 percent"),
    (BASALT, "Where does the lava cool?", "near the surface"),
)
SAMPLES = 4
SAMPLED = GenerationOptions(max_tokens=20, temperature=0.8, stop=("\n",))
GREEDY = GenerationOptions(max_tokens=20, stop=("\n",))


class Signal:
    """A peer: one signal of an answer, as it is or turned round."""

    def __init__(self, name: str, way: float, features: Features) -> None:
        self.name = name
        self._column, self._way, self._features = NAMES.index(name), way, features

    def score(self, prompt: Prompt, answers: Sequence[str]) -> np.ndarray:
        """Return the signal of each answer."""
        return self._way * self._features.of(prompt, answers)[:, self._column]


class Agreement:
    """A peer for choosing: how much an answer shares with the others that were drawn, as a vote of words."""

    name = "agreement of the four"

    def score(self, prompt: Prompt, answers: Sequence[str]) -> np.ndarray:
        """Return the sum of each answer's F1 to all."""
        bags = [Counter(tokens(answer)) for answer in answers]
        return np.array([sum(overlap(one, other) for other in bags) for one in bags])


def overlap(one: Counter[str], other: Counter[str]) -> float:
    shared = (one & other).total()
    return 2 * shared / (one.total() + other.total()) if shared else 0.0


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=250)
    parser.add_argument("--lora", type=float, default=0.0, metavar="MINUTES")
    parser.add_argument("--quick", action="store_true", help="60 questions")
    arguments = parser.parse_args()
    documents, questions = xquad()
    random.Random(0).shuffle(questions)
    questions = questions[: 60 if arguments.quick else arguments.questions]
    passages = {document.id: document.text for document in documents}
    RESULTS.mkdir(exist_ok=True)
    drawn, greedy = answers_of(questions, passages)
    train, test = (half(questions, name) for name in ("dev", "test"))
    learned, held = ([one for q in some for one in rankings(q, drawn[q.text])] for some in (train, test))
    print(versions("llama-cpp-python", "onnxruntime", "scikit-learn"))
    print(f"\n{len(learned)} rankings of {len(train)} questions of the even articles to learn from;")
    print(f"{len(held)} of {len(test)} questions of the odd articles to judge on. Rankings are by F1, not by people.\n")
    print("| reward model | seconds to train | pairs in the right order | gain over a coin's toss, by question |")
    print("|---|---|---|---|")
    models: list[RewardModel] = []
    with tempfile.TemporaryDirectory() as folder:
        ways = [RewardOptions()]
        if arguments.lora:
            lora = LoraOptions(epochs=50, minutes=arguments.lora, learning_rate=2e-4, batch_size=8)
            ways.append(RewardOptions(kind="lora", lora=lora))
        for way in ways:
            started = time.perf_counter()
            report = tune_reward(way.kind, learned, held, way, folder=folder)
            seconds = time.perf_counter() - started
            models.append(open_reward(f"{way.kind}@1", folder))
            print(f"| {way.kind} | {seconds:.0f} | {report.held_out} | {report.gain} |", flush=True)
            print(f"  {report.version.card['fitted']}", file=sys.stderr)
        features = Features(open_reward("light@1", folder).embedder)  # type: ignore[attr-defined]
        for name, signal_way in (("words", -1.0), ("in_passage", 1.0), ("cosine_question", 1.0)):
            signal = Signal(name, signal_way, features)
            told = gain([0.5] * len(by_prompt(signal, held)), by_prompt(signal, held))
            label = f"{'fewest ' if signal_way < 0 else 'most '}{name} alone"
            print(f"| {label} | – | {accuracy(signal, held)} | {told} |", flush=True)
    print(f"\nF1 of one answer to each of {len(test)} questions of the odd articles\n")
    print("| answer | F1 | gain over one of four at random | gain over greedy |")
    print("|---|---|---|---|")
    scores = {q.text: [f1(reply, q.answers) for reply in drawn[q.text].replies] for q in test}
    some = [float(np.mean(scores[q.text])) for q in test]
    likeliest = [f1(greedy[q.text].replies[0], q.answers) for q in test]

    def row(name: str, own: list[float]) -> None:
        print(f"| {name} | {estimate(own)} | {gain(some, own)} | {gain(likeliest, own)} |", flush=True)

    row("the first sample", [scores[q.text][0] for q in test])
    row("one of four at random (the mean of the four)", some)
    row("greedy", likeliest)
    for model in (*models, Agreement()):
        row(f"best of four by {model.name}", [scores[q.text][best(model, drawn[q.text])] for q in test])
    row("the best of four (oracle)", [max(scores[q.text]) for q in test])


def answers_of(questions: list[Question], passages: dict[str, str]) -> tuple[dict[str, Sampled], dict[str, Sampled]]:
    """Return what the model said, by question: four samples of all, and one greedy answer of the odd articles'."""
    model = open_model("smollm2", threads=1)

    def asked_all(some: list[Question], count: int, options: GenerationOptions, name: str) -> dict[str, Sampled]:
        inputs = [asked(passages[question.document], question.text) for question in some]
        found = draw_all(model, inputs, count, options, render=shown, log=RESULTS / name, progress=note)
        return {question.text: one for question, one in zip(some, found, strict=True)}

    samples = asked_all(questions, SAMPLES, SAMPLED, "reward-samples.jsonl")
    return samples, asked_all(half(questions, "test"), 1, GREEDY, "reward-greedy.jsonl")


def note(progress) -> None:
    if progress.done % 50 == 0:
        print(f"{progress.stage}: {progress.done} of {progress.total}", file=sys.stderr)


def asked(passage: str, question: str) -> str:
    """Return what the model is asked."""
    return f"{passage}\nQuestion: {question}\nShort answer:"


def shown(text: str) -> list[Message]:
    """Return a question behind the shots."""
    shots = [(Message("user", asked(p, q)), Message("assistant", a)) for p, q, a in SHOTS]
    return [*(message for shot in shots for message in shot), Message("user", text)]


def rankings(question: Question, drawn: Sampled) -> list[Ranking]:
    """Return a ranking of each two samples whose F1 differs."""
    scores = [f1(reply, question.answers) for reply in drawn.replies]
    return ranked(drawn.input, drawn.replies, scores, article=question.article, key=question.text)


def best(model: RewardModel, drawn: Sampled) -> int:
    """Return the number of the sample with the highest score, the first of equal ones."""
    return int(np.argmax(model.score(drawn.input, drawn.replies)))


if __name__ == "__main__":
    main()
