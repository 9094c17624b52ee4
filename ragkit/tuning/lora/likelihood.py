"""Log-probabilities of given replies, with or without an adapter, as at inference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.models.llama_cpp import LlamaCppModel
from ragkit.tuning.lora.base_model import BaseModel, best_device
from ragkit.tuning.lora.judging import loaded_version, opened_version
from ragkit.tuning.lora.tokens import ModelTokens
from ragkit.tuning.rewards.measure import RewardModel
from ragkit.tuning.rewards.rankings import Prompt, as_messages


@contextmanager
def likelihood(base: BaseModel, version: Path | None, threads: int = 0) -> Iterator[RewardModel]:
    """Yield a reward model whose score is the log-probability of a complete reply, including the end token.

    Args:
        base: the base model.
        version: folder of an adapter's version; None for the base model.
        threads: threads of llama.cpp; 0 for all cores.

    Raises:
        ModelError: if the model or adapter can't be loaded.
    """
    if base.is_gguf:
        with opened_version(base, version, threads) as model:
            yield _Llama(model)
    else:
        yield _Torch(loaded_version(base, version, best_device()), base.tokens())


class _Llama:
    name = "likelihood"

    def __init__(self, model: LlamaCppModel) -> None:
        self._model = model

    def score(self, prompt: Prompt, answers: Sequence[str]) -> NDArray[np.float64]:
        return np.array([sum(found) for found in self._model.score(as_messages(prompt), answers, whole=True)])


class _Torch:
    name = "likelihood"

    def __init__(self, model: Any, tokens: ModelTokens) -> None:
        self._model = model
        self._tokens = tokens

    def score(self, prompt: Prompt, answers: Sequence[str]) -> NDArray[np.float64]:
        import torch

        asked = self._tokens.prompt(as_messages(prompt))
        found = []
        for answer in answers:
            reply = self._tokens.reply(answer)
            ids = torch.tensor([[*asked, *reply]], device=self._model.device)
            with torch.inference_mode():
                logits = self._model(input_ids=ids).logits[0, len(asked) - 1 : -1].float()
            own = torch.log_softmax(logits, dim=-1)[torch.arange(len(reply)), ids[0, len(asked) :]]
            found.append(float(own.sum()))
        return np.array(found)
