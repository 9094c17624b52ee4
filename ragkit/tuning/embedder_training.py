"""The loop that fine-tunes an embedding model's upper layers, within a time limit and resumable."""

from __future__ import annotations

import json
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

_WARM = 0.1
"""The share of the way in which the learning rate rises."""
_KEPT = (".json", ".txt", ".model")
"""What a model's folder has beside its weights: configuration and words."""
_CHECKPOINT = "training.pt"
_EVERY = 30.0
"""Seconds between checkpoints."""


@dataclass(frozen=True, slots=True)
class EmbedderOptions:
    """How an embedding model is fine-tuned."""

    epochs: int = 3
    seconds: float = 60.0
    """Training ends by then at the latest; the learning rate falls to 0 towards whichever end comes first."""
    layers: int = 3
    """The upper layers that learn; the word vectors and the layers below stay what they are."""
    batch: int = 32
    learning_rate: float = 1e-4
    window: int = 128
    """Tokens of a text that training reads; what lies behind them is read again when the model is used."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.seconds <= 0 or self.layers < 1 or self.batch < 2 or self.window < 8:
            raise SettingsError(
                f"{self.epochs} epochs, {self.seconds} seconds, {self.layers} layers, batches of {self.batch} and a "
                f"window of {self.window} can't be.",
                "Give 1 epoch or more, some seconds, 1 layer or more, batches of 2 or more, and a window of 8 or more.",
            )


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """How training went."""

    steps: int
    """That were planned."""
    done: int
    """That were made."""
    seconds: float
    """Of training, before a stop and after it together."""
    loss: float
    """The mean of the last tenth of the steps."""
    resumed_at: int = 0
    """The step at which an interrupted training was taken up."""

    @property
    def cut(self) -> bool:
        """Whether the time limit ended it; the result then depends on the speed of the machine."""
        return self.done < self.steps


class TrainedEncoder:
    """An embedding model in training: its unit vectors carry gradients.

    Args:
        files: the model, as ``locate`` found it.
        options: how many layers learn, and how much of a text they read.
    """

    def __init__(self, files: ModelFiles, options: EmbedderOptions) -> None:
        import torch
        from transformers import AutoModel
        from transformers.utils import logging

        self.device = "cuda" if cuda_works() else "cpu"
        # Its own bar would stand beside that of the training.
        logging.disable_progress_bar()
        loaded = AutoModel.from_pretrained(files.folder, dtype=torch.float32, local_files_only=True)
        self.encoder = loaded.to(self.device)
        self._files = files
        self._half = self.device == "cuda" or _half_is_fast()
        self._torch = torch
        self._tokenizer = FastTokenizer(files.folder / "tokenizer.json")
        self._window = min(options.window, files.window)
        layers = _layers(self.encoder, files)
        for parameter in self.encoder.parameters():
            parameter.requires_grad = False
        for layer in layers[-options.layers :]:
            for parameter in layer.parameters():
                parameter.requires_grad = True

    def tokens(self, text: str) -> list[int]:
        """Return the ids of a text, specials included, cut to the window; the end token stays."""
        ids = self._tokenizer.ids(text)
        return ids if len(ids) <= self._window else [*ids[: self._window - 1], ids[-1]]

    def vectors(self, batch: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return unit vectors ``[n, d]`` of texts' ids."""
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
        """Write a sentence-transformers folder that ``open_embedder`` takes: other weights, and all else as it was."""
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
    """Train the layers that learn, and a head above them; the encoder holds the result.

    Interrupted, the same call on the same work folder goes on from the last checkpoint.

    Args:
        encoder: in training.
        head: learns with ten times the rate, as it starts from less.
        loss: of the rows of these numbers.
        lengths: tokens of each row; rows of like length are read together, which spares padding.
        options: how.
        work: a folder for checkpoints.
        data: names the rows and their order; a checkpoint of others is not taken up.
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
        raise TaskError(f"{len(lengths)} rows are too few to train on.", "Give 2 or more.")
    work.mkdir(parents=True, exist_ok=True)
    file = work / _CHECKPOINT
    state = _State(file, json.dumps([data, asdict(options)]), own, head, optimizer)
    first, spent = state.taken_up()
    losses: list[float] = []
    begun = saved = time.monotonic()
    encoder.encoder.train()
    for number in range(first, len(order)):
        passed = (spent + time.monotonic() - begun) / options.seconds
        # Where there is time enough only the steps count, so that the same seed comes to the same result.
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
    """A checkpoint: everything that the next step depends on, in a file that is read without unpickling objects."""

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
        """Return the step to go on with and the seconds spent before; 0 where there is nothing to go on with."""
        import torch

        if not self._file.exists():
            return 0, 0.0
        try:
            found = torch.load(self._file, weights_only=True)
        except Exception:  # noqa: BLE001 - a damaged checkpoint, of whatever kind, is as good as none
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
    """Tell whether this CPU multiplies bfloat16 in hardware: training is then twice as fast, and slower where not."""
    return bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})


def _layers(encoder: Any, files: ModelFiles) -> Any:
    for parent in (getattr(encoder, "encoder", None), getattr(encoder, "transformer", None), encoder):
        for name in ("layer", "layers"):
            found = getattr(parent, name, None)
            if found is not None:
                return found
    raise TaskError(f"{files.name} has no layers that ragkit knows how to tune.", "Use a BERT-like model.")


def _batches(lengths: Sequence[int], options: EmbedderOptions, epoch: int) -> list[list[int]]:
    """Return the rows of one epoch in batches: shuffled, then like lengths together within each window of batches."""
    chance = random.Random(f"{options.seed}-{epoch}")  # noqa: S311
    rows = list(range(len(lengths)))
    chance.shuffle(rows)
    window = options.batch * 16
    batches: list[list[int]] = []
    for start in range(0, len(rows), window):
        some = sorted(rows[start : start + window], key=lengths.__getitem__)
        batches += [some[n : n + options.batch] for n in range(0, len(some), options.batch)]
    chance.shuffle(batches)
    return [batch for batch in batches if len(batch) > 1]
