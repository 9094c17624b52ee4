"""Rerank with a cross-encoder, a model that reads query and passage together; for those who have one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ragkit.embedding.tokenizer import without_lone_surrogates
from ragkit.errors import SettingsError
from ragkit.records import Chunk


class CrossEncoderReranker:
    """Scores passages with a local sentence-transformers cross-encoder.

    Args:
        folder: of the model; nothing is downloaded.
        device: ``cpu`` or ``cuda``.

    Raises:
        SettingsError: if there is no such model there, or it can't be loaded.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        if not (folder / "config.json").is_file():
            raise SettingsError(f"{folder} holds no cross-encoder.", "Name the folder of a saved CrossEncoder.")
        if _embeds(folder):
            # It would load, with a head of random numbers.
            raise SettingsError(f"{folder} holds an embedding model.", "Name the folder of a saved CrossEncoder.")
        from safetensors import SafetensorError
        from sentence_transformers import CrossEncoder

        try:
            self._model = CrossEncoder(str(folder), device=device, local_files_only=True)
        except (OSError, RuntimeError, ValueError, AssertionError, SafetensorError) as error:
            raise SettingsError(
                f"The cross-encoder in {folder} can't be loaded on {device}: {error}", "Save the model again."
            ) from error
        if self._model.num_labels != 1:
            raise SettingsError(
                f"The model in {folder} gives {self._model.num_labels} scores a passage.",
                "Name the folder of a CrossEncoder that gives one.",
            )

    def score(self, query: str, chunks: Sequence[Chunk]) -> list[float]:
        """Return the model's score of each chunk."""
        query = without_lone_surrogates(query)
        pairs = [(query, without_lone_surrogates(chunk.embedded_text)) for chunk in chunks]
        return [float(score) for score in self._model.predict(pairs, show_progress_bar=False)]


def _embeds(folder: Path) -> bool:
    """Tell whether sentence-transformers saved a model of another kind than a cross-encoder in ``folder``."""
    if not (folder / "modules.json").is_file():
        return False
    try:
        settings = json.loads((folder / "config_sentence_transformers.json").read_text("utf-8"))
    except (OSError, ValueError):
        return True
    return not isinstance(settings, dict) or settings.get("model_type") != "CrossEncoder"
