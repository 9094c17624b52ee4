"""Fine-tunes an embedder on questions and the passages that answer them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragkit.embedding import Embedder, open_embedder
from ragkit.errors import TaskError
from ragkit.retrieval import Retriever
from ragkit.tuning.comparison import Estimate, gain
from ragkit.tuning.embedders.training import EmbedderOptions, TrainingReport
from ragkit.tuning.embedders.tuning import forget, tune_on_pairs
from ragkit.tuning.heads.data import digest

if TYPE_CHECKING:
    from ragkit._progress import ProgressCallback
    from ragkit.indexing import Index
    from ragkit.records import Example

EMBEDDER = "embedder"
_DEPTH = 20
"""Number of hits that are searched for the answer."""


@dataclass(frozen=True, slots=True)
class PairsReport:
    """Result of fine-tuning an embedder."""

    kept: bool
    """Whether the fine-tuned embedder was written to the folder, because its gain is significant."""
    before: float
    """Mean reciprocal rank of the correct passage, for held-out questions, with the initial model."""
    after: float
    """Mean reciprocal rank with the fine-tuned model."""
    gain: Estimate
    """Gain in reciprocal rank, by a paired bootstrap."""
    pairs: int
    """Number of training pairs."""
    held_out: int
    training: TrainingReport


def pairs_from_index(index: Index, examples: Iterable[Example]) -> list[tuple[str, str]]:
    """Return questions and the passages of an index that answer them.

    A question's passage is the best hit that contains its answer verbatim; questions without one are skipped.

    Args:
        index: the index of the documents.
        examples: questions with their answers.
    """
    retriever, found = Retriever(index), []
    for example in examples:
        wanted = " ".join(example.output.casefold().split())
        for hit in retriever.search(example.input, _DEPTH) if wanted else ():
            if wanted in " ".join(hit.chunk.text.casefold().split()):
                found.append((example.input, hit.chunk.embedded_text))
                break
    return found


def fit_embedder(
    path: str | Path,
    pairs: Sequence[tuple[str, str]],
    *,
    model: str = "default",
    options: EmbedderOptions | None = None,
    val_fraction: float = 0.1,
    progress: ProgressCallback | None = None,
) -> PairsReport:
    """Fine-tune an embedder on pairs, and write it to ``path/embedder`` if it ranks held-out passages better.

    Some passages are held out with all their questions. Open the result with ``open_embedder(path)``.

    Args:
        path: output folder.
        pairs: questions and their passages.
        model: the initial model.
        options: training options.
        val_fraction: fraction of the passages to hold out.
        progress: called with a ``Progress`` after each step.

    Raises:
        TaskError: if there are too few passages to hold some out.
    """
    chosen = options or EmbedderOptions()
    passages = sorted({passage for _, passage in pairs}, key=lambda passage: digest(f"{chosen.seed} {passage}"))
    aside = set(passages[: max(1, round(val_fraction * len(passages)))])
    own = [pair for pair in pairs if pair[1] not in aside]
    tests = [pair for pair in pairs if pair[1] in aside]
    if len(passages) < 4 or not own:
        raise TaskError(
            f"{len(pairs)} pairs with {len(passages)} passages are too few.", "Pass pairs with 4 or more passages."
        )
    target = Path(path) / f"{EMBEDDER}.new"
    training = tune_on_pairs(own, target, model, chosen, progress)
    before = _reciprocal_ranks(open_embedder(model), tests, passages)
    tuned = open_embedder(target)
    after = _reciprocal_ranks(tuned, tests, passages)
    gained = gain(before, after)
    if gained.low > 0:
        shutil.rmtree(Path(path) / EMBEDDER, ignore_errors=True)
        target.rename(Path(path) / EMBEDDER)
    else:
        shutil.rmtree(target)
    # The cache identifies a model by its folder too, so cached data of this folder is obsolete.
    forget(tuned)
    means = float(np.mean(before)), float(np.mean(after))
    return PairsReport(gained.low > 0, *means, gained, len(own), len(tests), training)


def _reciprocal_ranks(embedder: Embedder, pairs: Sequence[tuple[str, str]], passages: Sequence[str]) -> list[float]:
    scores = embedder.embed([question for question, _ in pairs], "query") @ embedder.embed(passages, "document").T
    place = {passage: number for number, passage in enumerate(passages)}
    right = np.array([place[passage] for _, passage in pairs])
    own = scores[np.arange(len(pairs)), right][:, None]
    return [float(rank) for rank in 1.0 / (1 + (scores > own).sum(axis=1))]
