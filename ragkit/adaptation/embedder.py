"""The stage of the embedder: trained on hard negatives, measured by the search of a copy of the index."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragkit.adaptation.material import Case, Material
from ragkit.adaptation.planning import EMBEDDER
from ragkit.adaptation.report import StageResult, compared
from ragkit.adaptation.teacher import mine
from ragkit.datagen.ledger import Ledger
from ragkit.embedding import open_embedder
from ragkit.errors import TaskError
from ragkit.evaluation.metrics import Place, ndcg_at
from ragkit.indexing import Index, IndexOptions
from ragkit.models.base import ChatModel
from ragkit.retrieval import RetrievalOptions, Retriever
from ragkit.tuning.comparison import gain
from ragkit.tuning.embedders.margins import tune_on_margins
from ragkit.tuning.embedders.training import EmbedderOptions
from ragkit.tuning.embedders.tuning import forget

if TYPE_CHECKING:
    from ragkit._progress import ProgressCallback
    from ragkit.retrieval.retriever import Mode

_K = 10
_LEAST_ROWS = 4
_TEACHING = 0.5
"""Share of the time for negatives and margins; training gets what is left."""


def adapt_embedder(
    index: Index,
    material: Material,
    model: ChatModel,
    ledger: Ledger,
    folder: Path,
    *,
    seconds: float,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> StageResult:
    """Train a version of the index's embedder, and keep it if the search is better with it. The index is unchanged.

    The dense search must gain significantly and the hybrid search must not lose, or the hybrid search must gain.

    Args:
        index: index of the documents.
        material: rows and held-out questions.
        model: teacher.
        ledger: finished work of the teacher.
        folder: versions are written to ``folder/1``, ``folder/2`` and so on.
        seconds: time for training.
        seed: random seed.
        progress: called after each step.

    Raises:
        TaskError: if there are too few rows.
        EmbeddingError: if the embedder can't be trained.
    """
    started = time.monotonic()
    rows = [row for row in material.answered if len(row.evidence) == 1 and len(row.messages) == 1]
    who, cases = material.deciding()
    if len(rows) < _LEAST_ROWS or not cases:
        raise TaskError(
            f"{len(rows)} training questions and {len(cases)} held-out ones are too few to train an embedder.",
            "Add documents, or raise --minutes.",
        )
    before_name = _location(index)
    mined = mine(index, rows, model, ledger, seconds=_TEACHING * seconds, progress=progress)
    left = max(1.0, seconds - (time.monotonic() - started))
    number = 1 + max((int(one.name) for one in folder.glob("*") if one.name.isdecimal()), default=0)
    target = (folder / "unfinished").resolve()
    options = EmbedderOptions(seconds=left, learning_rate=5e-5, batch_size=16, seed=seed)
    training = tune_on_margins(mined.rows, target, before_name, options, progress)
    place = target.rename(folder.resolve() / str(number))
    tuned = open_embedder(place)
    before = {mode: ndcg(index, cases, mode) for mode in ("dense", "hybrid")}
    copy = folder / "index"
    shutil.rmtree(copy, ignore_errors=True)
    try:
        with Index.create(copy, embedder=tuned, options=IndexOptions(chunking=index.chunking)) as trial:
            trial.add_documents(index.each_document(), progress=progress)
            after = {mode: ndcg(trial, cases, mode) for mode in ("dense", "hybrid")}
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    hybrid = gain(before["hybrid"], after["hybrid"])
    mode = "hybrid" if hybrid.low > 0 else "dense"
    veto = "" if hybrid.mean >= 0 else f"The hybrid search, which is the default, loses: {hybrid}."
    result = compared(
        EMBEDDER,
        f"nDCG@{_K}, {mode} search",
        before[mode],
        after[mode],
        decided_by=who,
        seconds=time.monotonic() - started,
        details={
            "version": str(place),
            "previous": before_name,
            "rows": len(mined.rows),
            "with_margins": mined.taught,
            "guarded_negatives": mined.guarded,
            "steps": training.done,
            "loss": round(training.loss, 4),
            "hybrid_before": float(np.mean(before["hybrid"])),
            "hybrid_after": float(np.mean(after["hybrid"])),
        },
        veto=veto,
    )
    if not result.promoted:
        shutil.rmtree(place)
        forget(tuned)
    return result


def ndcg(index: Index, cases: Sequence[Case], mode: Mode) -> list[float]:
    """Return nDCG@10 of the search for each question; passages that overlap a place of the answer are relevant."""
    retriever = Retriever(index, RetrievalOptions(k=_K, mode=mode))
    chunks = [(chunk.key, Place(chunk.document_id, chunk.start, chunk.end)) for chunk in index.each_chunk()]
    scores = []
    for case in cases:
        relevant = {key: 1 for key, there in chunks if any(there.overlap(place) for place in case.places)}
        found = [hit.chunk.key for hit in retriever.search(case.question, _K)]
        scores.append(ndcg_at(found, relevant, _K) if relevant else 0.0)
    return scores


def _location(index: Index) -> str:
    """Return the name or folder of an index's embedder."""
    found = getattr(index.embedder, "location", "")
    if not found:
        raise TaskError(
            f"The embedder of {index.path} ({index.embedder.model_id}) can't be trained: it is not a local model.",
            "Re-embed the index with a local model first: ragkit reembed INDEX default",
        )
    return str(found)
