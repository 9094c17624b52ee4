"""Evaluates a model, with or without an adapter, on held-out records, as at inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from ragkit._progress import Progress, ProgressCallback
from ragkit.errors import MissingExtraError
from ragkit.models.adapters import LORA
from ragkit.models.base import GenerationOptions, complete
from ragkit.models.llama_cpp import LlamaCppModel
from ragkit.records import Message
from ragkit.tuning.comparison import metric_of
from ragkit.tuning.data import TuningRecord
from ragkit.tuning.lora.base_model import BaseModel, best_device

ADAPTER = "adapter"
"""Folder of the peft adapter in a version."""
Reply = Callable[[Sequence[Message]], str]


def reply_scores(
    base: BaseModel,
    version: Path | None,
    records: Sequence[TuningRecord],
    *,
    metric: str,
    reply_tokens: int,
    threads: int = 0,
    stage: str = "scoring",
    progress: ProgressCallback | None = None,
) -> list[float]:
    """Return the score of each greedy reply, 0 to 1.

    Args:
        base: the base model.
        version: folder of the adapter's version; None for the base model.
        records: held-out records.
        metric: name of the metric; see ``metric_of``.
        reply_tokens: maximum tokens of a reply.
        threads: threads of llama.cpp; 0 for all cores.
        stage: name of the stage in progress reports.
        progress: called after each record.

    Raises:
        ModelError: if the model or adapter can't be loaded.
    """
    measure = metric_of(metric)
    scores = []
    with replying(base, version, reply_tokens, threads) as reply:
        for number, record in enumerate(records, 1):
            scores.append(measure(reply(record.messages).strip(), record.reply))
            if progress is not None:
                progress(Progress(stage, number, len(records)))
    return scores


def replying(
    base: BaseModel, version: Path | None, reply_tokens: int, threads: int = 0
) -> AbstractContextManager[Reply]:
    """Yield a function that returns a model's greedy reply to messages; for the arguments, see ``reply_scores``.

    Raises:
        ModelError: if the model or adapter can't be loaded.
    """
    return (_llama if base.is_gguf else _torch)(base, version, reply_tokens, threads)


@contextmanager
def opened_version(base: BaseModel, version: Path | None, threads: int = 0) -> Iterator[LlamaCppModel]:
    """Yield a GGUF model in llama.cpp, with or without the adapter of a version.

    Raises:
        ModelError: if the model or adapter can't be loaded.
    """
    model = LlamaCppModel(base.path, threads=threads, lora=version / LORA if version is not None else None)
    try:
        yield model
    finally:
        model.close()


def loaded_version(base: BaseModel, version: Path | None, device: str) -> Any:
    """Load a model in torch for inference, with or without the adapter of a version.

    Raises:
        MissingExtraError: if transformers or peft is not installed.
        ModelFileError: if the weights can't be read.
    """
    model = base.load(device)
    if version is not None:
        try:
            from peft import PeftModel
        except ImportError as error:
            raise MissingExtraError("peft", "tune", "to use a tuned model") from error
        model = PeftModel.from_pretrained(model, str(version / ADAPTER))
    return model.eval()


@contextmanager
def _llama(base: BaseModel, version: Path | None, reply_tokens: int, threads: int) -> Iterator[Reply]:
    with opened_version(base, version, threads) as model:
        yield lambda messages: complete(model, messages, GenerationOptions(max_tokens=reply_tokens)).text


@contextmanager
def _torch(base: BaseModel, version: Path | None, reply_tokens: int, threads: int) -> Iterator[Reply]:
    """Yield replies by torch, for a model in a Hugging Face folder, which llama.cpp does not read."""
    import torch

    device = best_device()
    tokens, model = base.tokens(), loaded_version(base, version, device)

    def reply(messages: Sequence[Message]) -> str:
        prompt = tokens.prompt(messages)
        with torch.inference_mode():
            made = model.generate(
                input_ids=torch.tensor([prompt], device=device),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long, device=device),
                max_new_tokens=reply_tokens,
                do_sample=False,
                eos_token_id=tokens.end[-1],
                pad_token_id=tokens.end[-1],
            )
        return tokens.text(made[0, len(prompt) :].tolist())

    yield reply
