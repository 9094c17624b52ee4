"""``ragkit adapt`` from documents alone, measured on questions of people, beside unfiltered rows.

    python benchmarks/adapt.py reader --work FOLDER [--minutes 60] [--limit N] [--questions N] [--model smollm2]
    python benchmarks/adapt.py retriever --work FOLDER [--minutes 60] [--limit N]

``reader``: SmolLM2 tuned on questions generated from the 36 XQuAD training articles, asked those of people about the 12
others, as in ``lora.py``. ``retriever``: the embedder adapted to XQuAD's paragraphs, measured on the odd articles, and
to the handbook, measured on half b. Each is run with the standard gates and with that of the form alone. An interrupted
run continues with the same command.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from common import DATA, f1, half, versions, xquad
from lora import REPLY_TOKENS, TEMPLATES, parts

from ragkit import Index
from ragkit.adaptation import AdaptOptions, AdaptReport, adapt_index
from ragkit.adaptation.embedder import ndcg
from ragkit.adaptation.material import Case
from ragkit.cli.output import progress_bar
from ragkit.datagen import Ledger
from ragkit.datagen.gates import Gate, standard_gates
from ragkit.datagen.ledger import digest
from ragkit.evaluation import read_questions
from ragkit.evaluation.gold import find_gold
from ragkit.evaluation.metrics import Place
from ragkit.evaluation.questions import Question as Asked
from ragkit.models import ChatModel, GenerationOptions, complete, open_model
from ragkit.models.adapters import AdapterStore, tuned_model
from ragkit.prompting import PromptAssembler, PromptOptions
from ragkit.prompting.sources import sources_from_hits
from ragkit.records import Document
from ragkit.retrieval import Retriever
from ragkit.tuning.comparison import estimate, gain


def main() -> None:
    """Adapt, ask, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["reader", "retriever"])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0, help="of each adaptation")
    parser.add_argument("--limit", type=int, default=0, help="documents; 0 for all")
    parser.add_argument("--questions", type=int, default=0, help="of people, the first ones; 0 for all")
    parser.add_argument("--number", type=int, default=1000, help="generated questions at most")
    parser.add_argument("--model", default="smollm2", help="writes the questions")
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    print(f"{versions('ragkit', 'llama-cpp-python', 'torch', 'transformers', 'peft')}\n")
    (reader if given.part == "reader" else retriever)(given)


def reader(given: argparse.Namespace) -> None:
    """Print the F1 of the untuned reader and of both tuned ones."""
    documents, questions = xquad()
    train, test = parts(questions, dev=False)
    learned = {question.document for question in train}
    own = [document for document in documents if document.id in learned][: given.limit or None]
    asked = test[: given.questions or None]
    with opened(given.work / "all", documents) as index:
        retriever, base = Retriever(index), open_model("smollm2", threads=given.threads)
        assembler = PromptAssembler(base, TEMPLATES, PromptOptions(answer_tokens=REPLY_TOKENS, passages=1))
        prompts = [
            assembler.assemble(one.text, sources_from_hits(index, retriever.search(one.text, 8))).messages
            for one in asked
        ]
    print(f"{len(own)} documents, {len(asked)} questions of people about others.", flush=True)
    scores: dict[str, list[float]] = {}
    with Ledger(given.work / "replies.sqlite") as ledger:

        def score(name: str, model: ChatModel) -> None:
            generation = GenerationOptions(max_tokens=REPLY_TOKENS, stop=("\n",))
            scores[name] = []
            for messages, one in zip(prompts, asked, strict=True):
                key = digest(name, [message.content for message in messages])
                reply = ledger.result(
                    one.text, "reply", key, lambda messages=messages: complete(model, messages, generation).text
                )
                scores[name].append(f1(reply.strip(), one.answers))

        score("untuned", base)
        for name in ("filtered", "unfiltered"):
            report = adapted(given, name, own, "reader")
            print(f"{name}: {report.stages[-1].status}. {report.stages[-1].why}", flush=True)
            version = AdapterStore(given.work / "adapters").versions(name)[-1]
            score(name, tuned_model(str(version.folder), threads=given.threads))
    table(scores, "token F1")
    print(f"Filtered over unfiltered: {gain(scores['unfiltered'], scores['filtered'])}")


def retriever(given: argparse.Namespace) -> None:
    """Print nDCG@10 of both searches, before and after, on XQuAD and on the handbook."""
    documents, questions = xquad()
    people = half(questions, "test")
    texts = {document.id: document for document in documents}
    handbook = DATA / "handbook"
    half_b = [
        one
        for one in read_questions(handbook / "questions.jsonl")
        if one.extra.get("half") == "b" and one.sources and not one.unanswerable
    ]
    for name, sources in (("xquad", documents), ("handbook", [handbook / "docs"])):
        kept = sources[: given.limit or None]
        scores: dict[str, list[float]] = {}
        with opened(given.work / "indexes" / f"{name}-before", kept) as index:
            if name == "xquad":
                held = {document.id for document in index.documents()}
                cases = [
                    Case(one.text, one.answers, spans(texts[one.document])) for one in people if one.document in held
                ]
            else:
                cases = with_places(index, half_b)
            cases = cases[: given.questions or None]
            for mode in ("dense", "hybrid"):
                scores[f"{mode}, as it is"] = ndcg(index, cases, mode)
        for rows in ("filtered", "unfiltered"):
            label = f"{name}-{rows}"
            report = adapted(given, label, kept, "embedder")
            print(f"{label}: {report.stages[-1].status}. {report.stages[-1].why}", flush=True)
            with Index.open(given.work / "indexes" / label) as index:
                for mode in ("dense", "hybrid"):
                    scores[f"{mode}, {rows}"] = ndcg(index, cases, mode)
        print(f"\n{name}: {len(cases)} questions of people")
        table(scores, "nDCG@10")
        for mode in ("dense", "hybrid"):
            print(f"{mode}, filtered over as it is: {gain(scores[f'{mode}, as it is'], scores[f'{mode}, filtered'])}")


def adapted(given: argparse.Namespace, name: str, sources: Sequence[Document | Path], stage: str) -> AdaptReport:
    """Adapt an index of the sources, or read the report of an earlier call."""
    options = AdaptOptions(minutes=given.minutes, number=given.number, stages=(stage,), threads=given.threads)
    model = open_model(given.model, threads=given.threads)
    with opened(given.work / "indexes" / name, sources) as index, progress_bar(quiet=False) as progress:
        gates: list[Gate] = standard_gates(index, model, retriever_rows=True)
        return adapt_index(
            index,
            model,
            given.work / name,
            options,
            name=name,
            adapters=given.work / "adapters",
            templates=TEMPLATES,
            gates=None if name.endswith("-filtered") or name == "filtered" else [g for g in gates if g.name == "form"],
            progress=progress,
        )


def opened(path: Path, sources: Sequence[Document | Path]) -> Index:
    """Return an index of documents or folders, created if there is none."""
    index = Index.open(path, create=True)
    index.add(*sources)
    return index


def spans(document: Document) -> tuple[Place, ...]:
    """Return a paragraph as the only place of an answer: it is one passage."""
    return (Place(document.id, 0, len(document.text)),)


def with_places(index: Index, questions: Sequence[Asked]) -> list[Case]:
    """Return the questions whose sources are in the index."""
    gold = find_gold(index, questions)
    found = [
        Case(one.question, one.wordings, tuple(place for there in gold[one.id].evidence for place in there))
        for one in questions
    ]
    return [case for case in found if case.places]


def table(scores: dict[str, list[float]], metric: str) -> None:
    """Print the mean of each row with its interval."""
    print(f"\n| | {metric} (95 %) |\n|---|---|")
    for name, values in scores.items():
        print(f"| {name} | {estimate(values)} |")


if __name__ == "__main__":
    main()
