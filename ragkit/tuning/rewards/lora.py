"""A reward model on a language model: LoRA and a scalar head, trained with trl."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit._progress import ProgressCallback
from ragkit.errors import MissingExtraError, ModelFileError
from ragkit.tuning.lora.adapter_run import save_adapter
from ragkit.tuning.lora.base_model import BaseModel, base_model, best_device
from ragkit.tuning.lora.judging import ADAPTER
from ragkit.tuning.lora.pair_training import token_pairs, train_pairs
from ragkit.tuning.lora.tokens import ModelTokens
from ragkit.tuning.lora.training import CHECKPOINTS, LoraOptions, with_adapter
from ragkit.tuning.rewards.rankings import Prompt, Ranking, as_messages


class LoraReward:
    """Scores an answer given its prompt.

    Args:
        model: a sequence classifier with one output.
        tokens: tokenizer of its base model.
    """

    def __init__(self, model: Any, tokens: ModelTokens) -> None:
        self.name = "lora reward"
        self._model = model
        self._tokens = tokens

    def score(self, prompt: Prompt, answers: Sequence[str]) -> NDArray[np.float64]:
        """Return a score for each answer, float64 ``[answers]``; scores of different prompts are not comparable."""
        import torch

        asked = self._tokens.prompt(as_messages(prompt))
        found = []
        for answer in answers:
            ids = torch.tensor([[*asked, *self._tokens.reply(answer)]], device=self._model.device)
            with torch.inference_mode():
                found.append(float(self._model(input_ids=ids).logits[0, 0]))
        return np.array(found, dtype=np.float64)


def train_lora_reward(
    rankings: Sequence[Ranking],
    base: str,
    options: LoraOptions,
    work: Path,
    progress: ProgressCallback | None = None,
) -> tuple[LoraReward, dict[str, Any]]:
    """Train a reward model, from the last checkpoint in ``work`` if there is one, and write its adapter there.

    Args:
        rankings: training rankings.
        base: base model; see ``base_model``.
        options: training options.
        work: work folder.
        progress: called after each step.

    Returns:
        The model, and a report.

    Raises:
        MissingExtraError: if a package is not installed.
        ModelError: if the base can't be loaded.
    """
    import torch

    begun = time.monotonic()
    of = base_model(base)
    tokens = of.tokens()
    pairs = token_pairs(tokens, rankings)
    torch.manual_seed(options.seed)
    model = with_adapter(_scalar(of), options, "SEQ_CLS")
    used = {token for pair in pairs for token in (*pair.prompt, *pair.chosen, *pair.rejected)}
    # The head uses the last token that is not padding, so the padding token must not be one that ends a reply.
    pad = next((token for token in range(model.config.vocab_size) if token not in used), None)
    if pad is None:
        raise ModelFileError(f"{of.name} has no unused token for padding.", "Use another base model.")
    training = train_pairs("reward", model, pairs, options, work / CHECKPOINTS, pad, progress, begun)
    model.config.pad_token_id = None
    save_adapter(model, work)
    return LoraReward(model.eval(), tokens), {**asdict(training), "base_sha256": of.sha256}


def open_lora_reward(folder: Path, base: str, sha256: str) -> LoraReward:
    """Open a trained reward model.

    Raises:
        MissingExtraError: if a package is not installed.
        ModelError: if the base model can't be loaded, or differs from the one it was trained on.
    """
    try:
        from peft import PeftModel
    except ImportError as error:
        raise MissingExtraError("peft", "tune", "to use a tuned model") from error
    of = base_model(base)
    if of.sha256 != sha256:
        raise ModelFileError(
            f"{of.path} has sha256 {of.sha256}, but the reward model was trained on {sha256}.",
            "Restore the original file, or train the reward model again.",
        )
    return LoraReward(PeftModel.from_pretrained(_scalar(of), str(folder / ADAPTER)).eval(), of.tokens())


def _scalar(base: BaseModel) -> Any:
    """Return the base model with a scalar head instead of the language-model head."""
    from transformers import AutoModelForSequenceClassification

    device = best_device()
    words = base.load(device)
    config = words.config
    config.num_labels, config.pad_token_id = 1, None
    model = AutoModelForSequenceClassification.from_config(config)
    setattr(model, model.base_model_prefix, getattr(words, words.base_model_prefix))
    return model.to(device=device, dtype=words.dtype)
