"""Fine-tunes an embedding model: to separate classes, or to bring questions close to their passages."""

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
from ragkit.tuning.embedders.training import EmbedderOptions, TrainedEncoder, TrainingReport, train

if TYPE_CHECKING:
    import torch

    from ragkit._progress import ProgressCallback
    from ragkit.embedding import Embedder

_SCALE = 20.0
"""Factor of cosines before the softmax over a batch's passages."""


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

    The head is initialised with one fitted to the frozen model's vectors, so that the first steps do not distort the
    model's features (Kumar et al., arXiv:2202.10054). It is not stored: fit another one to the fine-tuned model.

    Args:
        inputs: texts.
        labels: indices of their labels.
        target: output folder, in sentence-transformers format; checkpoints are written beside it.
        start: a head on the frozen model's vectors.
        model: the initial model.
        options: training options.
        progress: called with a ``Progress`` after each step.
    """
    import torch

    chosen, files = options or EmbedderOptions(), locate(model, weights=True)
    encoder = TrainedEncoder(files, chosen)
    # The probe's output on the axes gives its weights, up to a constant per axis, to which softmax is invariant.
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
    """Fine-tune an embedding model so that questions are close to their passages, and write it to a folder.

    Each question is contrasted with all passages of its batch (multiple negatives ranking, Henderson et al.,
    arXiv:1705.00652); a passage that answers several questions counts as correct for each.

    Args:
        pairs: questions and their passages.
        target: output folder, in sentence-transformers format; checkpoints are written beside it.
        model: the initial model.
        options: training options.
        progress: called with a ``Progress`` after each step.

    Raises:
        TaskError: if all pairs have the same passage.
    """
    import torch

    chosen, files = options or EmbedderOptions(), locate(model, weights=True)
    if len({passage for _, passage in pairs}) < 2:
        raise TaskError(
            f"The {len(pairs)} pairs have fewer than two distinct passages.", "Add pairs with other passages."
        )
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
    """Remove cached data of a discarded fine-tuned model."""
    shutil.rmtree(cache_folder() / "onnx" / embedder.model_id, ignore_errors=True)


def fingerprint(rows: Sequence[str], *further: str) -> str:
    """Return the sha256 of rows, in order, and of further data."""
    return hashlib.sha256(json.dumps([list(rows), *further]).encode()).hexdigest()
