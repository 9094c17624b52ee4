"""Reranking with a cross-encoder, a model that reads query and passage together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit._hub import is_hub_name
from ragkit.embedding.hub import downloaded_model, find_graph, has_weights
from ragkit.embedding.tokenizer import without_lone_surrogates
from ragkit.errors import EmbeddingError, MissingExtraError, SettingsError
from ragkit.records import Chunk

if TYPE_CHECKING:
    from ragkit.retrieval.cross_encoder_onnx import OnnxPairScorer


class CrossEncoderReranker:
    """Scores passages with a local cross-encoder: by sentence-transformers, or by its ONNX graph without torch.

    Args:
        model: its folder, or ``hf:OWNER/REPO`` for one that ``ragkit models pull`` downloaded.
        device: ``cpu`` or ``cuda``.

    Raises:
        SettingsError: if there is no such model, or it can't be loaded.
    """

    def __init__(self, model: str | Path, device: str = "cpu") -> None:
        folder = _folder(model)
        if not (folder / "config.json").is_file():
            raise SettingsError(f"{folder} contains no cross-encoder.", "Name the folder of a saved CrossEncoder.")
        if _embeds(folder):
            # It would load, with a head of random numbers.
            raise SettingsError(f"{folder} contains an embedding model.", "Name the folder of a saved CrossEncoder.")
        self._onnx: OnnxPairScorer | None = None
        graph = find_graph(folder)
        if graph is not None and not has_weights(folder):
            from ragkit.retrieval.cross_encoder_onnx import OnnxPairScorer

            self._onnx = OnnxPairScorer(folder, graph)
            return
        if find_spec("sentence_transformers") is None:
            raise MissingExtraError("sentence-transformers", "torch", f"to run the cross-encoder in {folder}")
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
        passages = [without_lone_surrogates(chunk.embedded_text) for chunk in chunks]
        if self._onnx is not None:
            return self._onnx.score(query, passages)
        pairs = [(query, passage) for passage in passages]
        return [float(score) for score in self._model.predict(pairs, show_progress_bar=False)]


def _folder(model: str | Path) -> Path:
    if not is_hub_name(str(model)):
        return Path(model).expanduser()
    try:
        return downloaded_model(str(model)).name.folder
    except EmbeddingError as error:
        raise SettingsError(error.message, error.hint) from error


def _embeds(folder: Path) -> bool:
    """Return whether sentence-transformers saved a model of another kind than a cross-encoder in ``folder``."""
    if not (folder / "modules.json").is_file():
        return False
    try:
        settings = json.loads((folder / "config_sentence_transformers.json").read_text("utf-8"))
    except (OSError, ValueError):
        return True
    return not isinstance(settings, dict) or settings.get("model_type") != "CrossEncoder"
