"""A cross-encoder for entailment from a local folder: MiniCheck, HHEM, an NLI model, or one of your own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ragkit.answering.support.base import Support
from ragkit.errors import SettingsError

_ENTAILED = ("entail", "support", "consistent", "faithful", "attribut", "label_1", "true", "grounded")
_CONTRADICTED = ("contradict", "refut")
_NEGATIVE = ("not", "non", "un", "in", "no ", "no_", "hallucinat")


class CrossEncoderVerifier:
    """Judges with a sequence classifier that reads evidence and claim together.

    Models of one output are read as the logit of entailment. Models of several outputs are read by the names of their
    labels in ``config.json``, in any order: one that names entailment, one that names
    contradiction if there is one. Two labels without names are taken as (not entailed, entailed).

    Args:
        folder: folder with the model's configuration, weights and tokenizer. Nothing is downloaded.
        threshold: probability of entailment from which a sentence counts as supported.
        device: torch device; chosen by sentence-transformers if None.

    Raises:
        SettingsError: if the folder contains no model, or its labels do not say which one is entailment.
    """

    def __init__(self, folder: Path, threshold: float = 0.5, device: str | None = None) -> None:
        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise SettingsError(
                f"{folder} has no config.json, so it is not a cross-encoder.",
                "Specify the folder of a downloaded model, with its config.json, weights and tokenizer.",
            )
        import torch
        from sentence_transformers import CrossEncoder

        try:
            # Never `trust_remote_code`: the folder is data.
            self._model = CrossEncoder(str(folder), local_files_only=True, device=device)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"The cross-encoder in {folder} can't be opened: {error}",
                "Check that the folder has a complete sequence-classification model that needs no code of its own.",
            ) from error
        self._identity = torch.nn.Identity()
        self._count = int(self._model.model.config.num_labels)
        labels = {int(number): str(name) for number, name in self._model.model.config.id2label.items()}
        self._entailed, self._contradicted = label_order(labels, self._count)
        self._threshold = threshold

    def verify(self, pairs: Sequence[tuple[str, str]]) -> list[Support]:
        """Return one verdict per pair of (sentence, evidence), in order."""
        if not pairs:
            return []
        # Premise first: that is how entailment models are trained.
        inputs = [(evidence, claim) for claim, evidence in pairs]
        logits = np.asarray(
            self._model.predict(inputs, activation_fn=self._identity, show_progress_bar=False), dtype=np.float64
        ).reshape(len(pairs), self._count)
        if self._count == 1:
            entailed = 1.0 / (1.0 + np.exp(-logits[:, 0]))
            return [Support(float(p), 0.0, self._threshold) for p in entailed]
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = shifted / shifted.sum(axis=1, keepdims=True)
        return [
            Support(
                float(row[self._entailed]),
                float(row[self._contradicted]) if self._contradicted is not None else 0.0,
                self._threshold,
            )
            for row in shares
        ]


def label_order(labels: Mapping[int, str], count: int) -> tuple[int, int | None]:
    """Return the outputs for entailment and for contradiction (None if there is none).

    Args:
        labels: name of each output.
        count: number of the outputs.

    Raises:
        SettingsError: if no label, or more than one, names entailment.
    """
    if count == 1:
        return 0, None
    names = {number: name.casefold() for number, name in labels.items() if number < count}
    entailed = [n for n, name in names.items() if _names(name, _ENTAILED) and not name.startswith(_NEGATIVE)]
    contradicted = [n for n, name in names.items() if _names(name, _CONTRADICTED)]
    if count > 2 and all(name.startswith("label_") for name in names.values()):
        entailed = []
    if len(entailed) != 1:
        raise SettingsError(
            f"The labels {list(names.values())} do not say which one means entailment.",
            "Name the labels in the model's config.json (id2label), such as entailment, neutral, contradiction.",
        )
    return entailed[0], contradicted[0] if len(contradicted) == 1 else None


def _names(name: str, words: Sequence[str]) -> bool:
    return any(word in name for word in words)
