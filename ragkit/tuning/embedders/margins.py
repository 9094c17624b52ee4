"""Fine-tunes an embedder on hard negatives, with the margins of a teacher (GPL, Wang et al., arXiv:2112.07577)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.embedding.model_files import locate
from ragkit.errors import TaskError
from ragkit.tuning.embedders.training import EmbedderOptions, TrainedEncoder, TrainingReport, train
from ragkit.tuning.embedders.tuning import fingerprint

if TYPE_CHECKING:
    import torch

    from ragkit._progress import ProgressCallback

_SCALE = 20.0
"""Factor of cosines before the softmax, and before the comparison with margins."""
_MARGIN_WEIGHT = 0.1
"""Weight of the squared error of a margin beside the softmax loss."""


@dataclass(frozen=True, slots=True)
class MarginRow:
    """A question, the passage that answers it, and similar passages that do not."""

    question: str
    passage: str
    negatives: tuple[str, ...] = ()
    margins: tuple[float, ...] = ()
    """For each negative, how much higher the teacher scores the passage, in standard deviations; empty if unknown."""

    def __post_init__(self) -> None:
        if self.margins and len(self.margins) != len(self.negatives):
            raise TaskError(
                f"{self.question!r} has {len(self.negatives)} negatives and {len(self.margins)} margins.",
                "Pass one margin per negative, or none.",
            )


def tune_on_margins(
    rows: Sequence[MarginRow],
    target: Path,
    model: str | Path = "default",
    options: EmbedderOptions | None = None,
    progress: ProgressCallback | None = None,
) -> TrainingReport:
    """Fine-tune an embedding model on questions, passages and hard negatives, and write it to a folder.

    The loss is a softmax over the passages and negatives of a batch, and the squared error of the margins. A passage of
    another row that answers the question as well, or is one of its passages, is not contrasted with it.

    Args:
        rows: questions with passages.
        target: output folder, in sentence-transformers format; checkpoints are written beside it.
        model: the initial model.
        options: training options.
        progress: called with a ``Progress`` after each step.

    Raises:
        TaskError: if all rows have the same passage and none has a negative.
    """
    import torch

    chosen, files = options or EmbedderOptions(), locate(model, weights=True)
    if len({text for row in rows for text in (row.passage, *row.negatives)}) < 2:
        raise TaskError(f"The {len(rows)} rows have fewer than two distinct passages.", "Add rows with other passages.")
    encoder = TrainedEncoder(files, chosen)
    queries = [encoder.tokens(files.prompts.get("query", "") + row.question) for row in rows]
    known: dict[str, list[int]] = {}
    for row in rows:
        for text in (row.passage, *row.negatives):
            if text not in known:
                known[text] = encoder.tokens(files.prompts.get("document", "") + text)
    answering: dict[str, set[str]] = {}
    for row in rows:
        answering.setdefault(" ".join(row.question.casefold().split()), set()).add(row.passage)

    def loss(numbers: Sequence[int]) -> torch.Tensor:
        batch = [rows[number] for number in numbers]
        texts = list(dict.fromkeys(text for row in batch for text in (row.passage, *row.negatives)))
        place = {text: column for column, text in enumerate(texts)}
        asked = encoder.vectors([queries[number] for number in numbers])
        scores = _SCALE * asked @ encoder.vectors([known[text] for text in texts]).T
        own = torch.tensor([place[row.passage] for row in batch], device=encoder.device)
        also = torch.zeros_like(scores, dtype=torch.bool)
        for line, row in enumerate(batch):
            for text in answering[" ".join(row.question.casefold().split())] - {row.passage}:
                if text in place:
                    also[line, place[text]] = True
        value = torch.nn.functional.cross_entropy(scores.masked_fill(also, -torch.inf), own)
        pairs = [
            (line, place[row.passage], place[negative], margin)
            for line, row in enumerate(batch)
            for negative, margin in zip(row.negatives, row.margins, strict=False)
        ]
        if pairs:
            lines, right, wrong, margins = (list(column) for column in zip(*pairs, strict=True))
            found = scores[lines, right] - scores[lines, wrong]
            wanted = torch.tensor(margins, device=encoder.device, dtype=found.dtype)
            value = value + _MARGIN_WEIGHT * torch.nn.functional.mse_loss(found, wanted)
        return value

    data = fingerprint(
        [f"{row.question}\t{row.passage}\t{list(zip(row.negatives, row.margins, strict=False))}" for row in rows],
        files.model_id(),
    )
    work = target.with_name(f"{target.name}.training")
    lengths = [
        len(query) + len(known[row.passage]) + sum(len(known[text]) for text in row.negatives)
        for query, row in zip(queries, rows, strict=True)
    ]
    report = train(encoder, None, loss, lengths, chosen, work, data, progress)
    encoder.save(target)
    return report
