"""XQuAD-en: SmolLM2-135M tuned on the questions of some articles, asked those of others, beside the untuned model.

    python benchmarks/lora.py [--minutes 30] [--dev] [--quick] [--work FOLDER] [--questions N] [--passages 1]

Every fourth article is for the test; nothing of its questions is trained on or chosen by. ``--dev`` holds out articles
of the training part in its place, on which the settings were chosen. All 240 paragraphs are in the index, and each
question is asked with the passages that the search finds for it, in training and after. Both models are run by
llama.cpp, the tuned one as the same GGUF file with the LoRA adapter in GGUF form. With ``--work`` an interrupted run
goes on where it stopped.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from common import Question, exact, f1, versions, xquad

from ragkit import Index
from ragkit.cli.output import progress_bar
from ragkit.models import GenerationOptions, complete, open_model
from ragkit.models.adapters import tuned_model
from ragkit.prompting import PromptAssembler, PromptOptions, Templates
from ragkit.prompting.sources import sources_from_hits
from ragkit.records import Message
from ragkit.retrieval import Retriever
from ragkit.tuning import RaftOptions, RaftRow, SftOptions, raft_records, tune_sft
from ragkit.tuning.comparison import estimate, gain
from ragkit.tuning.data import TuningRecord

TEMPLATES = Templates(
    {
        **Templates.load().texts,
        "chat_system": "Answer with the shortest phrase copied from the text.",
        "chat_user": "{sources}\n\nQuestion: {question}",
        "source": "{text}",
    }
)
REPLY_TOKENS = 40


def main() -> None:
    """Tune, ask, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    defaults = SftOptions()
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--epochs", type=float, default=10.0)
    parser.add_argument("--passages", type=int, default=1)
    parser.add_argument("--rank", type=int, default=defaults.rank)
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size)
    parser.add_argument("--modules", default=defaults.modules)
    parser.add_argument("--layers", type=int, default=defaults.layers)
    parser.add_argument("--questions", type=int, default=0, help="of the test, by chance; 0 for all")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one minute of training, 20 questions")
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    if given.quick:
        given.minutes, given.questions = 1.0, 20
    with tempfile.TemporaryDirectory() as scratch:
        run(given, given.work or Path(scratch))


def run(given: argparse.Namespace, work: Path) -> None:
    documents, questions = xquad()
    train, test = parts(questions, given.dev)
    random.Random(0).shuffle(test)
    test = test[: given.questions or None]
    plain = open_model("smollm2", threads=given.threads)
    assembler = PromptAssembler(plain, TEMPLATES, PromptOptions(answer_tokens=REPLY_TOKENS, passages=given.passages))
    sources = {document.id: document.source for document in documents}
    with Index.open(work / "index", create=True) as index:
        index.add(*documents)
        rows = [RaftRow(q.text, q.answers[0], sources[q.document]) for q in train]
        made = raft_records(
            rows, index, assembler, RaftOptions(k=given.passages, unanswerable_fraction=0.0, cite=False)
        )
        retriever = Retriever(index)
        asked, found = [], 0
        for question in test:
            hits = retriever.search(question.text, 8)
            prompt = assembler.assemble(question.text, sources_from_hits(index, hits))
            found += any(source.document.id == question.document for source in prompt.sources)
            asked.append(prompt.messages)
    print(f"{versions('ragkit', 'llama-cpp-python', 'torch', 'transformers', 'peft')}\n")
    print(f"{len(made.records)} training and {len(test)} {'dev' if given.dev else 'test'} questions, prompts with")
    print(f"{given.passages} retrieved passages: {found / len(test):.3f} have the right paragraph ({len(made.skipped)}")
    print("training questions skipped).\n", flush=True)
    began = time.perf_counter()
    before = ask(plain, asked)
    seconds = (time.perf_counter() - began) / len(test)
    plain.close()
    options = SftOptions(
        minutes=given.minutes,
        epochs=given.epochs,
        rank=given.rank,
        alpha=2 * given.rank,
        learning_rate=given.learning_rate,
        batch_size=given.batch_size,
        modules=given.modules,
        layers=given.layers,
        max_eval_samples=1,
        threads=given.threads,
    )
    # What tune_sft measures on decides nothing here: the table below has the figures, on the test questions.
    held_out = [TuningRecord(m, q.answers[0], q.text) for m, q in zip(asked, test, strict=True)]
    with progress_bar(quiet=False) as progress:
        report = tune_sft("xquad", made.records, held_out, options, folder=work / "adapters", progress=progress)
    training = report.training
    tuned = tuned_model(str(report.version.folder), threads=given.threads)
    began = time.perf_counter()
    after = ask(tuned, asked)
    tuned_seconds = (time.perf_counter() - began) / len(test)
    print(f"Tuned for {training.seconds / 60:.1f} minutes: {training.steps} of {training.planned} steps, ")
    print(f"{training.examples} examples seen in {training.tokens:,} tokens, loss {training.loss:.3f}; ")
    print(f"{len(report.leaked)} training questions left out, which the test has too or nearly.\n")
    print("| SmolLM2-135M | token F1 (95 %) | exact | s a question |\n|---|---|---|---|")
    table = {"untuned": (before, seconds), "tuned": (after, tuned_seconds)}
    scored = {}
    for name, (replies, each) in table.items():
        scored[name] = [f1(reply, q.answers) for reply, q in zip(replies, test, strict=True)]
        same = sum(exact(reply, q.answers) for reply, q in zip(replies, test, strict=True)) / len(test)
        print(f"| {name} | {estimate(scored[name])} | {same:.3f} | {each:.2f} |")
    print(f"\nThe gain in F1: {gain(scored['untuned'], scored['tuned'])}.")


def parts(questions: list[Question], dev: bool) -> tuple[list[Question], list[Question]]:
    """Return the questions to train on and those to ask: of every fourth article, or in its place of the dev ones."""
    training = [question for question in questions if question.article % 4 != 1]
    if not dev:
        return training, [question for question in questions if question.article % 4 == 1]
    return (
        [question for question in training if question.article % 8 != 2],
        [question for question in training if question.article % 8 == 2],
    )


def ask(model, prompts: list[tuple[Message, ...]]) -> list[str]:
    """Return the greedy replies, each cut at the end of its first line."""
    options = GenerationOptions(max_tokens=REPLY_TOKENS, stop=("\n",))
    return [complete(model, messages, options).text.strip() for messages in prompts]


if __name__ == "__main__":
    main()
