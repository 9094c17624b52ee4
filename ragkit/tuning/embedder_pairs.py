"""An embedder for one's own documents: tuned on questions and the passages that answer them."""

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
from ragkit.tuning.embedder import forget, tune_on_pairs
from ragkit.tuning.embedder_training import EmbedderOptions, TrainingReport
from ragkit.tuning.head_data import digest

if TYPE_CHECKING:
    from ragkit._progress import ProgressCallback
    from ragkit.indexing import Index
    from ragkit.records import Example

EMBEDDER = "embedder"
_DEPTH = 20
"""Hits among which the passage is looked for that holds a question's answer."""


@dataclass(frozen=True, slots=True)
class PairsReport:
    """What came of tuning an embedder."""

    kept: bool
    """Whether the tuned embedder stands in the folder; it does where a gain is shown."""
    before: float
    """The mean reciprocal rank of the right passage among all, of held-out questions, with the model as it was."""
    after: float
    """The same with the tuned one."""
    gain: Estimate
    """Of the reciprocal rank, by a paired bootstrap."""
    pairs: int
    """Learned from."""
    held_out: int
    training: TrainingReport


def pairs_from_index(index: Index, examples: Iterable[Example]) -> list[tuple[str, str]]:
    """Return questions and the passages of an index that answer them.

    A question's passage is the best hit that holds its answer as it stands; questions that have none are left out.

    Args:
        index: of the documents.
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
    held_out: float = 0.1,
    progress: ProgressCallback | None = None,
) -> PairsReport:
    """Tune an embedder on pairs, and keep it in ``path/embedder`` where it finds held-out passages better.

    Some passages are held out with all their questions. Use it by naming the folder: ``open_embedder(path)``.

    Args:
        path: the folder to write to.
        pairs: questions and their passages.
        model: to start from.
        options: how.
        held_out: the share of the passages that the two are compared on.
        progress: called with a ``Progress`` after each step.

    Raises:
        TaskError: if there are too few passages to hold some out.
    """
    chosen = options or EmbedderOptions()
    passages = sorted({passage for _, passage in pairs}, key=lambda passage: digest(f"{chosen.seed} {passage}"))
    aside = set(passages[: max(1, round(held_out * len(passages)))])
    own = [pair for pair in pairs if pair[1] not in aside]
    tests = [pair for pair in pairs if pair[1] in aside]
    if len(passages) < 4 or not own:
        raise TaskError(f"{len(pairs)} pairs of {len(passages)} passages are too few.", "Give pairs of 4 or more.")
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
    # The cache names a model after its folder too, so what it holds of this one has served.
    forget(tuned)
    means = float(np.mean(before)), float(np.mean(after))
    return PairsReport(gained.low > 0, *means, gained, len(own), len(tests), training)


def _reciprocal_ranks(embedder: Embedder, pairs: Sequence[tuple[str, str]], passages: Sequence[str]) -> list[float]:
    scores = embedder.embed([question for question, _ in pairs], "query") @ embedder.embed(passages, "document").T
    place = {passage: number for number, passage in enumerate(passages)}
    right = np.array([place[passage] for _, passage in pairs])
    own = scores[np.arange(len(pairs)), right][:, None]
    return [float(rank) for rank in 1.0 / (1 + (scores > own).sum(axis=1))]
