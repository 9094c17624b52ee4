"""Large corpora for the search benchmarks: real sentences recombined into chunks, with vectors to match.

Embedding a million chunks takes hours on a CPU, so a chunk's vector is made and not computed: the mean of the vectors
of its sentences, each embedded for real, with noise of a third of its length, which keeps chunks of the same sentences
apart. A chunk takes two sentences from one XQuAD article and two from anywhere in XQuAD or banking77. Queries are
XQuAD questions and are embedded for real.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import machine
from ragkit.indexing.index import Index
from ragkit.indexing.opening import record_model
from ragkit.indexing.options import IndexOptions
from ragkit.indexing.sharding import shard_of
from ragkit.indexing.writing import Changes, commit, content_hash, settle
from ragkit.records import Chunk, Document, document_id

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
NOISE = 0.33
_CHUNKS_PER_DOCUMENT = 20
_CHUNKS_PER_COMMIT = 50_000


@dataclass(frozen=True)
class Sentences:
    """Sentences with their unit vectors, and queries with theirs."""

    texts: list[str]
    vectors: np.ndarray
    groups: list[np.ndarray]
    questions: list[str]
    question_vectors: np.ndarray


def sentences(embedder, quick: bool = False) -> Sentences:
    """Read and embed the sentences; stops with a reason where the data is absent."""
    if not (DATA / "xquad.en.json").exists():
        raise SystemExit(f"{DATA / 'xquad.en.json'} is missing; this benchmark reads XQuAD from there.")
    texts: list[str] = []
    groups: list[np.ndarray] = []
    questions: list[str] = []
    for article in json.loads((DATA / "xquad.en.json").read_text())["data"]:
        first = len(texts)
        for paragraph in article["paragraphs"]:
            texts += [part for part in re.split(r"(?<=[.!?])\s+", paragraph["context"]) if len(part) > 20]
            questions += [qa["question"] for qa in paragraph["qas"]]
        groups.append(np.arange(first, len(texts)))
    banking = DATA / "banking77" / "train.csv"
    if banking.exists():
        import csv

        with banking.open(newline="") as file:
            texts += [row[0] for row in list(csv.reader(file))[1 : 500 if quick else 4000]]
    questions = questions[:: 6 if quick else 2]
    return Sentences(texts, embedder.embed(texts, "document"), groups, questions, embedder.embed(questions, "query"))


def picks(pool: Sentences, rows: int, seed: int = 1) -> np.ndarray:
    """Return which sentences make up each chunk: int64 ``[rows, 4]``."""
    random = np.random.default_rng(seed)
    chosen = random.integers(0, len(pool.texts), (rows, 4))
    group = random.integers(0, len(pool.groups), rows)
    for number, members in enumerate(pool.groups):
        mine = np.flatnonzero(group == number)
        chosen[mine, :2] = random.choice(members, (len(mine), 2))
    return chosen


def vectors(pool: Sentences, chosen: np.ndarray, seed: int = 2) -> np.ndarray:
    """Return a unit vector for each chunk: float32 ``[rows, d]``."""
    random = np.random.default_rng(seed)
    dimension = pool.vectors.shape[1]
    made = np.empty((len(chosen), dimension), dtype=np.float32)
    for first in range(0, len(chosen), 50_000):
        part = pool.vectors[chosen[first : first + 50_000]].mean(axis=1)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
        part += random.standard_normal(part.shape, dtype=np.float32) * np.float32(NOISE / dimension**0.5)
        made[first : first + 50_000] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return made


def text(pool: Sentences, row: np.ndarray) -> str:
    """Return the text of one chunk."""
    return " ".join(pool.texts[number] for number in row)


def fill(folder: Path, embedder, pool: Sentences, rows: int, options: IndexOptions | None = None) -> dict[str, float]:
    """Make an index of recombined chunks by the index's own way of writing, and return the seconds of each step.

    Only the vectors are handed in instead of computed; rows, vector files and keyword files are written, merged and
    synced to disk as by ``Index.add``.
    """
    started = time.perf_counter()
    options = options or IndexOptions()
    with Index.create(folder, embedder=embedder, options=options) as index:
        stores = index._stores
        with index._writing():
            for store in stores:
                record_model(store, embedder, None, options.chunking)
            for first in range(0, rows, _CHUNKS_PER_COMMIT):
                chosen = picks(pool, min(_CHUNKS_PER_COMMIT, rows - first), seed=first + 1)
                changes = _changes(pool, chosen, vectors(pool, chosen, seed=first + 2), first)
                for number, store in enumerate(stores):
                    part = _part(changes, number, len(stores))
                    commit(store, part, embedder.model_id, embedder.dimension, options.vectors)
                print(f"{first + len(chosen):,} chunks written", flush=True)
            written = time.perf_counter()
            for store in stores:
                settle(store, embedder.model_id, embedder.dimension, options.vectors)
    return {"write": written - started, "merge": time.perf_counter() - written}


def _part(changes: Changes, number: int, count: int) -> Changes:
    """Return the changes of one shard."""
    put = {identity: new for identity, new in changes.put.items() if shard_of(identity, count) == number}
    own = {content_hash(chunk) for _, chunks in put.values() for chunk in chunks}
    return Changes(put=put, vectors={content: changes.vectors[content] for content in own})


def _changes(pool: Sentences, chosen: np.ndarray, made: np.ndarray, first: int) -> Changes:
    changes = Changes()
    for start in range(0, len(chosen), _CHUNKS_PER_DOCUMENT):
        name = f"recombined/{first + start:08d}"
        parts = [text(pool, row) for row in chosen[start : start + _CHUNKS_PER_DOCUMENT]]
        whole = "\n".join(parts)
        sha256 = hashlib.sha256(whole.encode()).hexdigest()
        identity = document_id(name)
        chunks, at = [], 0
        for ordinal, part in enumerate(parts):
            tokens = len(part) // 4
            chunks.append(Chunk(identity, ordinal, at, at + len(part), part, tokens, section_end=len(whole)))
            changes.vectors[content_hash(chunks[-1])] = made[start + ordinal]
            at += len(part) + 1
        metadata = {"year": 2000 + start // _CHUNKS_PER_DOCUMENT % 25}
        document = Document(identity, name, name, whole, name, sha256, "text/plain", metadata)
        changes.put[identity] = (document, chunks)
    return changes


def versions() -> str:
    """Return a line with what figures depend on."""
    return machine.versions("faiss-cpu", "tantivy", "onnxruntime", "numpy")
