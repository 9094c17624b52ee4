"""Indexing on the CPU: split, embed and store the same text with ragkit, LangChain and LlamaIndex.

Run: pip install -e . -r benchmarks/requirements.txt   (into a virtual environment of its own; it brings the peers)
     python benchmarks/indexing.py [--quick]

All have the same model folder (ragkit's default), the same chunk size in tokens, an overlap of 32 and a thread a core.
The peers embed 32 texts a batch, which is sentence-transformers' default, and keep everything in memory; ragkit writes
SQLite, FAISS and tantivy files and syncs them to disk. Each run is a process of its own, the systems take turns, and
the fastest run counts. Imports, model loading and a warm-up are not timed.

Texts: XQuAD-en's 240 paragraphs, a document each, cut to the model's window; and 10,000 paragraphs of its sentences
recombined by a seed, 20 a document, cut to 96 tokens, which makes about 10,000 chunks, one in a thousand of them twice
(ragkit embeds it once). Float32 is run on the first only: what it changes shows there. Systems cut differently, so
there are two ratios to the faster peer: of chunks/s, and of the source text's tokens/s, which no way of cutting
flatters. Target: 2.5. A peer takes five minutes or more for the second text on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import versions, xquad
from ragkit import Document, Index
from ragkit._machine import cores
from ragkit.chunking import ChunkingOptions, sentence_spans
from ragkit.embedding import locate, open_embedder
from ragkit.embedding.tokenizer import FastTokenizer
from ragkit.indexing.options import IndexOptions
from ragkit.records import document_id

TARGET = 2.5
OVERLAP = 32
BATCH = 32
SENTENCES_A_PARAGRAPH = 2
PARAGRAPHS_A_DOCUMENT = 20

Texts = Callable[[], list[str]]
"""Reads the texts of the chunks back from a store."""
Indexer = Callable[[Sequence[Document], Path], Texts]
"""Splits, embeds and stores documents; the folder is new and for those that store on disk."""


@dataclass(frozen=True)
class Corpus:
    """What is indexed in one table."""

    title: str
    documents: list[Document]
    size: int
    """Tokens a chunk holds at most; 0 for all that the model reads."""
    repeats: int
    systems: tuple[str, ...]


def corpora(quick: bool) -> dict[str, Corpus]:
    """Return the texts with the systems that index them."""
    plain = [replace(document, title="") for document in xquad()[0]]  # Only ragkit would embed the title.
    some = plain[::10] if quick else plain
    count = 100 if quick else 10_000
    in_memory = (ONNX, "LangChain, in memory", "LlamaIndex, in memory")
    return {
        "xquad": Corpus(f"XQuAD-en, {len(some)} paragraphs", some, 0, 1 if quick else 2, tuple(SYSTEMS)),
        "recombined": Corpus(f"Recombined, {count:,} paragraphs", recombined(plain, count), 96, 1, in_memory),
    }


def recombined(documents: Sequence[Document], paragraphs: int, seed: int = 1) -> list[Document]:
    """Return documents whose sentences begin as one and end as another of the given ones, none twice."""
    old = [document.text[start:end].split() for document in documents for start, end in sentence_spans(document.text)]
    draw = random.Random(seed)
    new: dict[str, None] = {}
    while len(new) < paragraphs * SENTENCES_A_PARAGRAPH:
        first, second = draw.sample(old, 2)
        new[" ".join([*first[: len(first) // 2], *second[len(second) // 2 :]])] = None
    sentences = list(new)
    texts = [
        " ".join(sentences[at : at + SENTENCES_A_PARAGRAPH]) for at in range(0, len(sentences), SENTENCES_A_PARAGRAPH)
    ]
    made = []
    for at in range(0, paragraphs, PARAGRAPHS_A_DOCUMENT):
        name, text = f"recombined/{seed}/{at}", "\n\n".join(texts[at : at + PARAGRAPHS_A_DOCUMENT])
        made.append(Document(document_id(name), name, name, text, "", name, "text/plain"))
    return made


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="24 and 100 paragraphs, one run each")
    parser.add_argument("--only", nargs=2, metavar=("SYSTEM", "CORPUS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        system, corpus = arguments.only
        print(json.dumps(measure(system, corpora(arguments.quick)[corpus])))
        return
    packages = ("faiss-cpu", "onnxruntime", "sentence-transformers", "tantivy", "torch", "transformers")
    peers = sorted({name for names, _ in SYSTEMS.values() for name in names if not missing((name,))})
    print(versions(*packages, *peers))
    for name, corpus in corpora(arguments.quick).items():
        runs: dict[str, list[dict]] = {system: [] for system in corpus.systems}
        for _ in range(corpus.repeats):
            for system in corpus.systems:
                if not missing(SYSTEMS[system][0]):
                    runs[system].append(run(system, name, arguments.quick))
        table(corpus, runs)


def table(corpus: Corpus, runs: dict[str, list[dict]]) -> None:
    """Print the fastest run of each system beside the faster peer."""
    best = {system: min(found, key=lambda one: one["seconds"]) for system, found in runs.items() if found}
    peers = [one for system, one in best.items() if SYSTEMS[system][0]]
    count = FastTokenizer(locate().folder / "tokenizer.json").count
    text_tokens = sum(count(document.text) for document in corpus.documents)
    room = chunk_size(corpus.size)
    print(f"\n{corpus.title}, {text_tokens:,} tokens, chunks of at most {room}; fastest of {corpus.repeats}; ", end="")
    print(f"target: {TARGET} times the faster peer\n")
    print("| system | chunks | tokens in chunks | s | chunks/s | text tokens/s | × chunks/s | × tokens/s |")
    print("|---|---|---|---|---|---|---|---|")
    for system in corpus.systems:
        if system not in best:
            absent = missing(SYSTEMS[system][0])
            print(f"| {system} | {absent} not installed: pip install -r benchmarks/requirements.txt {'| ' * 7}".strip())
            continue
        chunks, seconds = best[system]["chunks"], best[system]["seconds"]
        ratios = "– | –"
        if peers:
            by_chunks = chunks / seconds / max(peer["chunks"] / peer["seconds"] for peer in peers)
            ratios = f"{by_chunks:.2f} | {min(peer['seconds'] for peer in peers) / seconds:.2f}"
        print(
            f"| {system} | {chunks:,} | {best[system]['tokens']:,} | {seconds:.1f} | {chunks / seconds:.1f}"
            f" | {text_tokens / seconds:,.0f} | {ratios} |",
            flush=True,
        )


def missing(packages: Sequence[str]) -> str:
    """Return the packages that are not installed."""
    absent = []
    for package in packages:
        try:
            versions(package)
        except PackageNotFoundError:
            absent.append(package)
    return ", ".join(absent)


def run(system: str, corpus: str, quick: bool) -> dict:
    """Measure one system in a process of its own."""
    threads = str(cores())
    settings = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONWARNINGS": "ignore"}
    environment = {**os.environ, **settings, "OMP_NUM_THREADS": threads, "RAYON_NUM_THREADS": threads}
    command = [sys.executable, __file__, "--only", system, corpus, *(["--quick"] if quick else [])]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{system}: {found['chunks']:,} chunks in {found['seconds']:.1f} s", file=sys.stderr, flush=True)
    return found


def measure(system: str, corpus: Corpus) -> dict:
    """Index documents with one system, and return the seconds with what is in the store."""
    indexer = SYSTEMS[system][1](corpus.size)
    with tempfile.TemporaryDirectory() as folder:
        indexer(recombined(corpus.documents, 20, seed=2), Path(folder) / "warm-up")
        started = time.perf_counter()
        stored = indexer(corpus.documents, Path(folder) / "index")
        seconds = time.perf_counter() - started
        texts = stored()
    count = FastTokenizer(locate().folder / "tokenizer.json").count
    return {"seconds": seconds, "chunks": len(texts), "tokens": sum(map(count, texts))}


def chunk_size(size: int) -> int:
    """Return the tokens of text that chunks hold at most, which is what the model reads where none is given."""
    files = locate()
    return size or files.window - FastTokenizer(files.folder / "tokenizer.json").specials


def ragkit(runtime: str, size: int) -> Indexer:
    """Return ragkit's indexing with one of its runtimes."""
    embedder = open_embedder(runtime=runtime, device="cpu")
    options = IndexOptions(chunking=ChunkingOptions(size, OVERLAP))

    def index(documents: Sequence[Document], folder: Path) -> Texts:
        made = Index.create(folder, embedder=embedder, options=options)
        report = made.add(*documents)
        if report.embedded < 0.99 * report.chunks:
            raise RuntimeError(
                f"Of {report.chunks} chunks only {report.embedded} were embedded; the others came twice."
            )
        return lambda: [chunk.embedded_text for _, chunk, _ in made._store.each_chunk(made._store.edition)]

    return index


def langchain(size: int) -> Indexer:
    """Return LangChain's indexing into its store in memory."""
    from langchain_core.documents import Document as Page
    from langchain_core.vectorstores import InMemoryVectorStore
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter
    from transformers import AutoTokenizer

    folder = str(locate(weights=True).folder)
    embedder = HuggingFaceEmbeddings(
        model_name=folder, model_kwargs={"device": "cpu"}, encode_kwargs={"batch_size": BATCH}
    )
    splitter = RecursiveCharacterTextSplitter.from_huggingface_tokenizer(
        AutoTokenizer.from_pretrained(folder), chunk_size=chunk_size(size), chunk_overlap=OVERLAP
    )

    def index(documents: Sequence[Document], _: Path) -> Texts:
        pages = splitter.split_documents([Page(page_content=document.text) for document in documents])
        memory = InMemoryVectorStore.from_documents(pages, embedder)
        return lambda: [entry["text"] for entry in memory.store.values()]

    return index


def llama_index(size: int) -> Indexer:
    """Return LlamaIndex's indexing into its store in memory."""
    from llama_index.core import Document as Page
    from llama_index.core import VectorStoreIndex
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    from transformers import AutoTokenizer

    folder = str(locate(weights=True).folder)
    embedder = HuggingFaceEmbedding(model_name=folder, device="cpu", embed_batch_size=BATCH)
    splitter = SentenceSplitter(
        chunk_size=chunk_size(size), chunk_overlap=OVERLAP, tokenizer=AutoTokenizer.from_pretrained(folder).tokenize
    )

    def index(documents: Sequence[Document], _: Path) -> Texts:
        pages = [Page(text=document.text) for document in documents]
        made = VectorStoreIndex.from_documents(pages, transformations=[splitter], embed_model=embedder)
        return lambda: [node.get_content() for node in made.docstore.docs.values()]

    return index


ONNX = "ragkit, default (ONNX int8)"
SYSTEMS: dict[str, tuple[tuple[str, ...], Callable[[int], Indexer]]] = {
    ONNX: ((), partial(ragkit, "onnx")),
    "ragkit, torch (float32)": ((), partial(ragkit, "torch")),
    "LangChain, in memory": (("langchain-core", "langchain-huggingface", "langchain-text-splitters"), langchain),
    "LlamaIndex, in memory": (("llama-index-core", "llama-index-embeddings-huggingface"), llama_index),
}
"""The packages of each peer, and what loads the model and returns the indexing for a chunk size."""


if __name__ == "__main__":
    main()
