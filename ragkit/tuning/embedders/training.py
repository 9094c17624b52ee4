"""Fine-tunes the upper layers of an embedding model, with a time limit and checkpoints."""

from __future__ import annotations

import json
import logging
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit._machine import cpu_flags
from ragkit._progress import Progress, ProgressCallback
from ragkit.embedding.model_files import ModelFiles
from ragkit.embedding.opening import cuda_works
from ragkit.embedding.tokenizer import FastTokenizer
from ragkit.errors import SettingsError, TaskError

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
_WARM = 0.1
"""Fraction of the training in which the learning rate warms up."""
_KEPT = (".json", ".txt", ".model")
"""Configuration and tokenizer files of a model's folder."""
_CHECKPOINT = "training.pt"
_EVERY = 30.0
"""Seconds between checkpoints."""


@dataclass(frozen=True, slots=True)
class EmbedderOptions:
    """Options for fine-tuning an embedding model."""

    epochs: int = 3
    seconds: float = 60.0
    """Maximum training time; the learning rate decays to 0 at the end, whether of epochs or of time."""
    layers: int = 3
    """Number of upper layers to train; token embeddings and lower layers are frozen."""
    batch_size: int = 32
    learning_rate: float = 1e-4
    max_length: int = 128
    """Maximum tokens of a text in training; longer texts are truncated. Inference is not affected."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.seconds <= 0 or self.layers < 1 or self.batch_size < 2 or self.max_length < 8:
            raise SettingsError(
                "epochs and layers must be >= 1, seconds > 0, batch_size >= 2 and max_length >= 8, "
                f"got epochs={self.epochs}, layers={self.layers}, seconds={self.seconds}, "
                f"batch_size={self.batch_size} and max_length={self.max_length}.",
                "Pass larger values.",
            )


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """Report of a training run."""

    steps: int
    """Number of planned steps."""
    done: int
    """Number of completed steps."""
    seconds: float
    """Training time, including that of interrupted runs."""
    loss: float
    """Mean loss of the last tenth of the steps."""
    resumed_at: int = 0
    """Step at which an interrupted run was resumed."""

    @property
    def cut(self) -> bool:
        """Whether the time limit ended training; the result then depends on the speed of the machine."""
        return self.done < self.steps


class TrainedEncoder:
    """An embedding model in training, whose unit vectors have gradients.

    Args:
        files: the model, as returned by ``locate``.
        options: training options.
    """

    def __init__(self, files: ModelFiles, options: EmbedderOptions) -> None:
        import torch
        from transformers import AutoModel
        from transformers.utils import logging

        self.device = "cuda" if cuda_works() else "cpu"
        # Its own progress bar would appear beside that of the training.
        logging.disable_progress_bar()
        loaded = AutoModel.from_pretrained(files.folder, dtype=torch.float32, local_files_only=True)
        self.encoder = loaded.to(self.device)
        self._files = files
        self._half = self.device == "cuda" or _half_is_fast()
        self._torch = torch
        self._tokenizer = FastTokenizer(files.folder / "tokenizer.json")
        self._window = min(options.max_length, files.window)
        layers = _layers(self.encoder, files)
        for parameter in self.encoder.parameters():
            parameter.requires_grad = False
        for layer in layers[-options.layers :]:
            for parameter in layer.parameters():
                parameter.requires_grad = True

    def tokens(self, text: str) -> list[int]:
        """Return the token ids of a text, truncated to ``max_length``, with special tokens."""
        ids = self._tokenizer.ids(text)
        return ids if len(ids) <= self._window else [*ids[: self._window - 1], ids[-1]]

    def vectors(self, batch: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return unit vectors ``[n, d]`` of tokenised texts."""
        torch = self._torch
        longest = max(map(len, batch))
        ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in batch], device=self.device)
        lengths = torch.tensor([len(row) for row in batch], device=self.device)
        mask = (torch.arange(longest, device=self.device)[None] < lengths[:, None]).long()
        with torch.autocast(self.device, torch.bfloat16, enabled=self._half):
            hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        pooled = hidden[:, 0] if self._files.pooling == "cls" else (hidden * mask[..., None]).sum(1) / lengths[:, None]
        return torch.nn.functional.normalize(pooled, dim=-1)

    def save(self, folder: Path) -> None:
        """Write a folder for ``open_embedder``: the new weights, and the model's other files unchanged."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        for file in self._files.folder.rglob("*"):
            if file.is_file() and file.suffix in _KEPT and not file.is_relative_to(self._files.folder / "onnx"):
                copy = folder / file.relative_to(self._files.folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
        weights = {name: value.detach().cpu().contiguous() for name, value in self.encoder.state_dict().items()}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def train(
    encoder: TrainedEncoder,
    head: torch.nn.Module | None,
    loss: Callable[[Sequence[int]], torch.Tensor],
    lengths: Sequence[int],
    options: EmbedderOptions,
    work: Path,
    data: str,
    progress: ProgressCallback | None = None,
) -> TrainingReport:
    """Train the upper layers of an encoder in place, together with a head.

    If interrupted, the same call with the same work folder continues from the last checkpoint.

    Args:
        encoder: the model.
        head: a head, trained with ten times the learning rate.
        loss: returns the loss of the rows with the given indices.
        lengths: number of tokens of each row; rows of similar length are batched, which reduces padding.
        options: training options.
        work: folder for checkpoints.
        data: identifies the rows and their order; a checkpoint of other data is ignored.
        progress: called with a ``Progress`` after each step.
    """
    import torch

    torch.manual_seed(options.seed)
    own = [parameter for parameter in encoder.encoder.parameters() if parameter.requires_grad]
    groups = [{"params": own, "rate": options.learning_rate}]
    if head is not None:
        groups.append({"params": list(head.parameters()), "rate": options.learning_rate * 10})
    optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, weight_decay=0.01)
    order = [batch for epoch in range(options.epochs) for batch in _batches(lengths, options, epoch)]
    if not order:
        raise TaskError(f"{len(lengths)} rows are too few for training.", "Pass 2 or more.")
    work.mkdir(parents=True, exist_ok=True)
    file = work / _CHECKPOINT
    state = _State(file, json.dumps([data, asdict(options)]), own, head, optimizer)
    first, spent = state.taken_up()
    losses: list[float] = []
    begun = saved = time.monotonic()
    encoder.encoder.train()
    for number in range(first, len(order)):
        passed = (spent + time.monotonic() - begun) / options.seconds
        # With enough time, only the steps count, so that the same seed gives the same result.
        way = max(number / len(order), passed) if number else 0.0
        if way >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * min(way / _WARM, (1 - way) / (1 - _WARM)) if way else group["rate"] * 0.01
        value = loss(order[number])
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(own, 1.0)
        optimizer.step()
        losses.append(float(value.detach()))
        if progress is not None:
            progress(Progress("training", number + 1, len(order)))
        if time.monotonic() - saved > _EVERY:
            state.save(number + 1, spent + time.monotonic() - begun)
            saved = time.monotonic()
    encoder.encoder.eval()
    shutil.rmtree(work)
    tail = losses[-max(1, len(losses) // 10) :]
    done = first + len(losses)
    return TrainingReport(
        len(order), done, spent + time.monotonic() - begun, sum(tail) / max(len(tail), 1), resumed_at=first
    )


class _State:
    """A checkpoint: the complete training state, in a file that is loaded without unpickling objects."""

    def __init__(
        self, file: Path, name: str, own: list[Any], head: torch.nn.Module | None, optimizer: torch.optim.Optimizer
    ) -> None:
        self._file = file
        self._name = name
        self._weights = [*own, *(head.parameters() if head is not None else [])]
        self._optimizer = optimizer

    def save(self, step: int, spent: float) -> None:
        import torch

        new = self._file.with_suffix(".new")
        weights = [weight.detach() for weight in self._weights]
        state = {"name": self._name, "step": step, "spent": spent, "weights": weights, "chance": torch.get_rng_state()}
        torch.save({**state, "optimizer": self._optimizer.state_dict()}, new)
        new.replace(self._file)

    def taken_up(self) -> tuple[int, float]:
        """Load the checkpoint, and return its step and training time; both are 0 without a checkpoint."""
        import torch

        if not self._file.exists():
            return 0, 0.0
        try:
            found = torch.load(self._file, weights_only=True)
        except Exception:
            log.warning("the checkpoint %s is damaged: training starts again", self._file, exc_info=True)
            return 0, 0.0
        if found.get("name") != self._name:
            return 0, 0.0
        with torch.no_grad():
            for weight, kept in zip(self._weights, found["weights"], strict=True):
                weight.copy_(kept)
        self._optimizer.load_state_dict(found["optimizer"])
        torch.set_rng_state(found["chance"])
        return int(found["step"]), float(found["spent"])


def _half_is_fast() -> bool:
    """Return whether this CPU supports bfloat16 in hardware: training is then twice as fast, otherwise slower."""
    return bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})


def _layers(encoder: Any, files: ModelFiles) -> Any:
    for parent in (getattr(encoder, "encoder", None), getattr(encoder, "transformer", None), encoder):
        for name in ("layer", "layers"):
            found = getattr(parent, name, None)
            if found is not None:
                return found
    raise TaskError(f"The architecture of {files.name} can't be fine-tuned.", "Use a BERT-like model.")


def _batches(lengths: Sequence[int], options: EmbedderOptions, epoch: int) -> list[list[int]]:
    """Return the batches of an epoch: shuffled, then sorted by length within groups of batches."""
    chance = random.Random(f"{options.seed}-{epoch}")  # noqa: S311
    rows = list(range(len(lengths)))
    chance.shuffle(rows)
    window = options.batch_size * 16
    batches: list[list[int]] = []
    for start in range(0, len(rows), window):
        some = sorted(rows[start : start + window], key=lengths.__getitem__)
        batches += [some[n : n + options.batch_size] for n in range(0, len(some), options.batch_size)]
    chance.shuffle(batches)
    return [batch for batch in batches if len(batch) > 1]
