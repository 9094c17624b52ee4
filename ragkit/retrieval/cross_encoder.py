"""Rerank with a cross-encoder, a model that reads query and passage together; for those who have one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ragkit.errors import SettingsError
from ragkit.records import Chunk


class CrossEncoderReranker:
    """Scores passages with a local sentence-transformers cross-encoder.

    Args:
        folder: of the model; nothing is downloaded.
        device: ``cpu`` or ``cuda``.

    Raises:
        SettingsError: if there is no such model there.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        if not (folder / "config.json").is_file():
            raise SettingsError(f"{folder} holds no cross-encoder.", "Name the folder of a saved CrossEncoder.")
        from sentence_transformers import CrossEncoder

        self._model = CrossEncoder(str(folder), device=device, local_files_only=True)

    def score(self, query: str, chunks: Sequence[Chunk]) -> list[float]:
        """Return the model's score of each chunk."""
        scores = self._model.predict([(query, chunk.embedded_text) for chunk in chunks], show_progress_bar=False)
        return [float(score) for score in scores]
