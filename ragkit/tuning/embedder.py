"""Fine-tuning an embedding model: so that classes lie apart, or questions near their passages."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragkit._machine import cache_folder
from ragkit.embedding.model_files import locate
from ragkit.errors import TaskError
from ragkit.tasks.probe import LinearProbe
from ragkit.tuning.embedder_training import EmbedderOptions, TrainedEncoder, TrainingReport, train

if TYPE_CHECKING:
    import torch

    from ragkit._progress import ProgressCallback
    from ragkit.embedding import Embedder

_SCALE = 20.0
"""What cosines are multiplied by before the softmax over a batch's passages."""


def tune_on_classes(
    inputs: Sequence[str],
    labels: Sequence[int],
    target: Path,
    start: LinearProbe,
    model: str | Path = "default",
    options: EmbedderOptions | None = None,
    progress: ProgressCallback | None = None,
) -> TrainingReport:
    """Fine-tune an embedding model together with a linear head, and write the model to a folder.

    The head starts as one that was fitted to the frozen model's vectors, so that the first steps do not undo what the
    model knows (Kumar et al., arXiv:2202.10054). It is not kept: fit another to the tuned model's vectors.

    Args:
        inputs: texts.
        labels: their labels' numbers.
        target: a sentence-transformers folder is written here; checkpoints stand beside it.
        start: a head on the frozen model's vectors.
        model: to start from.
        options: how.
        progress: called with a ``Progress`` after each step.
    """
    import torch

    chosen, files = options or EmbedderOptions(), locate(model, weights=True)
    encoder = TrainedEncoder(files, chosen)
    # What the probe gives the axes tells its weights, up to a number for each axis that no softmax sees.
    bias = start.log_probabilities(np.zeros((1, files.dimension), dtype=np.float32))[0]
    weights = (start.log_probabilities(np.eye(files.dimension, dtype=np.float32)) - bias).T
    head = torch.nn.Linear(files.dimension, len(bias)).to(encoder.device)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weights - weights.mean(axis=0)))
        head.bias.copy_(torch.from_numpy(bias - bias.mean()))
    rows = [encoder.tokens(text) for text in inputs]
    gold = torch.tensor(list(labels), device=encoder.device)

    def loss(numbers: Sequence[int]) -> torch.Tensor:
        found = head(encoder.vectors([rows[number] for number in numbers]))
        return torch.nn.functional.cross_entropy(found, gold[list(numbers)])

    data = fingerprint([f"{label}\t{text}" for label, text in zip(labels, inputs, strict=True)], files.model_id())
    work = target.with_name(f"{target.name}.training")
    report = train(encoder, head, loss, [len(row) for row in rows], chosen, work, data, progress)
    encoder.save(target)
    return report


def tune_on_pairs(
    pairs: Sequence[tuple[str, str]],
    target: Path,
    model: str | Path = "default",
    options: EmbedderOptions | None = None,
    progress: ProgressCallback | None = None,
) -> TrainingReport:
    """Fine-tune an embedding model so that questions lie near their passages, and write it to a folder.

    Each question is to find its own passage among all of its batch (multiple negatives ranking, Henderson et al.,
    arXiv:1705.00652); a passage that answers several of them counts as right for each.

    Args:
        pairs: questions and their passages.
        target: a sentence-transformers folder is written here; checkpoints stand beside it.
        model: to start from.
        options: how.
        progress: called with a ``Progress`` after each step.

    Raises:
        TaskError: if all pairs have the same passage.
    """
    import torch

    chosen, files = options or EmbedderOptions(), locate(model, weights=True)
    if len({passage for _, passage in pairs}) < 2:
        raise TaskError(f"{len(pairs)} pairs have fewer than two passages among them.", "Give pairs of several.")
    encoder = TrainedEncoder(files, chosen)
    queries = [encoder.tokens(files.prompts.get("query", "") + question) for question, _ in pairs]
    passages = [encoder.tokens(files.prompts.get("document", "") + passage) for _, passage in pairs]

    def loss(numbers: Sequence[int]) -> torch.Tensor:
        asked = encoder.vectors([queries[number] for number in numbers])
        given = encoder.vectors([passages[number] for number in numbers])
        same = torch.tensor([[pairs[a][1] == pairs[b][1] for b in numbers] for a in numbers], device=encoder.device)
        shares = torch.log_softmax(_SCALE * asked @ given.T, dim=-1)
        return -torch.logsumexp(shares.masked_fill(~same, -torch.inf), dim=-1).mean()

    data = fingerprint([f"{question}\t{passage}" for question, passage in pairs], files.model_id())
    work = target.with_name(f"{target.name}.training")
    lengths = [len(query) + len(passage) for query, passage in zip(queries, passages, strict=True)]
    report = train(encoder, None, loss, lengths, chosen, work, data, progress)
    encoder.save(target)
    return report


def forget(embedder: Embedder) -> None:
    """Remove what the cache holds of a tuned model that is given up."""
    shutil.rmtree(cache_folder() / "onnx" / embedder.model_id, ignore_errors=True)


def fingerprint(rows: Sequence[str], *further: str) -> str:
    """Return the sha256 of rows in their order, and of what else counts."""
    return hashlib.sha256(json.dumps([list(rows), *further]).encode()).hexdigest()
